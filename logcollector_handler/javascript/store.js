/**
 * Batches that outlive the page, in IndexedDB: one database for each URL that they are posted to. They are kept
 * compressed and masked, and never hold an API key.
 */

/** Bytes that all batches together take; beyond this the oldest are dropped. */
const MAX_BYTES = 16 << 20;

/**
 * @typedef {{id: string, bytes: Uint8Array, compressed: boolean, entries: number}} Kept
 */

/** @template T @param {IDBRequest<T>} request @returns {Promise<T>} */
const result = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

/** @param {string} url */
export function openStore(url) {
  /** @type {Promise<IDBDatabase> | undefined} */
  let opening;
  const again = () => {
    opening = undefined;
  };
  const open = () => {
    opening ??= new Promise((resolve, reject) => {
      // Where a page may not store anything, this throws, or asks for nothing and fails.
      const request = indexedDB.open(`logcollector ${url}`, 1);
      request.onupgradeneeded = () => request.result.createObjectStore("batches", { keyPath: "id" });
      request.onsuccess = () => {
        const database = request.result;
        // The browser has closed it, such as when somebody clears the data of the site.
        database.onclose = again;
        // The site deletes its databases: that waits until all are closed, and whoever opens one waits for that.
        database.onversionchange = () => {
          again();
          database.close();
        };
        resolve(database);
      };
      request.onerror = () => {
        again();
        reject(request.error);
      };
    });
    return opening;
  };

  /** @template T @param {(batches: IDBObjectStore) => IDBRequest<T>} deed @returns {Promise<T>} */
  const change = async (deed) => {
    const transaction = (await open()).transaction("batches", "readwrite");
    const done = new Promise((resolve, reject) => {
      transaction.oncomplete = resolve;
      transaction.onabort = () => reject(transaction.error);
    });
    const [value] = await Promise.all([result(deed(transaction.objectStore("batches"))), done]);
    return value;
  };

  return {
    /** Keep a batch. It is on the disk, or on its way there from the browser's own process, when this is done. @param {Kept} batch */
    put: ({ id, bytes, compressed, entries }) => change((batches) => batches.put({ id, bytes, compressed, entries })),

    /** @param {string} id */
    remove: (id) => change((batches) => batches.delete(id)),

    /** All batches, the oldest first. @returns {Promise<Kept[]>} */
    all: () => change((batches) => batches.getAll()),

    /** Drop the oldest of these until the others have room. Returns those. @param {Kept[]} batches */
    async bounded(batches) {
      let size = batches.reduce((sum, each) => sum + each.bytes.length, 0);
      const kept = [];
      for (const each of batches) {
        if (size > MAX_BYTES) await this.remove(each.id);
        else kept.push(each);
        if (size > MAX_BYTES) size -= each.bytes.length;
      }
      return kept;
    },
  };
}
