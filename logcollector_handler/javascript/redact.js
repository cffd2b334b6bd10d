/**
 * The names of secrets, as in Python's `entry/redact.py` and `entry/secret_names.py`: a name means a secret if its last
 * words are those of a secret's name (`db_password`, `apiKey`), in the singular or plural.
 *
 * The lists are the same ones; a test compares them. The words of a name are run together here.
 */
import { MASK } from "./plain.js";

/** @param {string} text */
const list = (text) => new Set(text.trim().split(/\s+/));

/** Names of fields whose values are masked. */
export const SECRETS = list(`
  password passwd passcode passphrase pass pwd pw pin otp totp otpcode mfacode facode recoverycode backupcode
  verificationcode seedphrase recoveryphrase mnemonic secret secretid token accesstoken refreshtoken idtoken authtoken
  apitoken sessiontoken bearertoken csrftoken bearer jwt csrf xsrf auth authorization credential creds clientassertion
  jwtassertion samlassertion samlresponse cookie sessionkey phpsessid jsessionid sharedaccesssignature apikey appkey
  applicationkey accesskey accountkey authkey clientkey decryptionkey deploykey encryptionkey functionskey hmackey
  licensekey masterkey privatekey secretkey serviceaccountkey sharedkey signingkey sshkey subscriptionkey writekey
  creditcard debitcard cardnumber cardno ccnumber cvv cvc securitycode iban bankaccount bankaccountnumber ssn
  socialsecuritynumber passportnumber`);
/** Names that end like one of a secret and mean none. */
export const CLEAR = list(`
  pagetoken nextpagetoken nexttoken continuationtoken paginationtoken synctoken idempotencytoken cancellationtoken
  fencingtoken bostoken eostoken padtoken stoptoken unktoken boardingpass firstpass secondpass testpass gpiopin ledpin`);
/** Names whose plural means another thing: what language models count, and the contacts of a chip. */
export const SINGULAR = list("token pin");
/** Names that are also found at the end of a longer word, as in `dbpassword`. */
export const RUN_TOGETHER = list(`
  password passwd passphrase secret token cookie authorization apikey secretkey accesskey privatekey`);
/** Words behind a secret's name that leave it a secret: `password_hash`. */
export const CARRIERS = list(`
  again b base bcrypt bytes clear cleartext confirm confirmation current data decoded decrypted digest enc encoded
  encrypted hash hashed header hex md new old pem plain plaintext raw repeat salt sha str string value`);
/** Words that make a question of a name, which no secret answers: `has_password`. */
export const QUESTIONS = list("is has had was needs requires");
/** Last words of names whose values can be URLs, queries and the like: in these a value is masked by its own name. */
export const ADDRESSES = list(`
  argv body callback cmd cmdline command conn connection dsn endpoint environ form headers href link location origin
  params path payload qs query querystring redirect referer referrer request target uri uris url urls`);
/** Words behind these that say nothing about the value. */
export const OF_ADDRESSES = list("args info line full original");
/** Parameters that are secrets in a query only. */
export const IN_QUERIES = list("code key sig signature");

/** @param {string} name */
function words(name) {
  const apart = name.slice(-200).replace(/([a-z])(?=[A-Z])|([A-Z])(?=[A-Z][a-z])/g, "$1$2 ");
  return apart.toLowerCase().split(/[^\p{L}]+/u).filter(Boolean);
}

/**
 * What is masked, by the names of secrets in any spelling. Without any, nothing is.
 *
 * @param {Iterable<string>} [names]
 * @returns {import("./entry.js").Redactor}
 */
export function redactor(names = SECRETS) {
  const listed = new Set([...names].map((name) => words(name).join("")).filter(Boolean));
  const runTogether = [...RUN_TOGETHER].filter((name) => listed.has(name)).map((name) => name + (SINGULAR.has(name) ? "" : "s?"));
  const endings = runTogether.length ? new RegExp(`(?:${runTogether.join("|")})$`) : /(?!)/;

  /** @param {string} name */
  function isListed(name) {
    const singular = name.replace(/s$/, "");
    return listed.has(name) || (listed.has(singular) && !SINGULAR.has(singular));
  }

  /** Whether the value under a name must be masked. @param {string} name */
  function secret(name) {
    const all = words(name);
    if (all.some((word) => QUESTIONS.has(word))) return false;
    for (let end = all.length; end > 0; end--) {
      for (let start = 0; start < end; start++) {
        const joined = all.slice(start, end).join("");
        if (isListed(joined)) return true;
        if (CLEAR.has(joined)) return false;
      }
      if (endings.test(all[end - 1])) return true;
      if (!CARRIERS.has(all[end - 1])) return false;
    }
    return false;
  }

  /** Whether a value of that name can be a URL, a query or the like, so that texts in it must go through `text`. @param {string} name */
  function address(name) {
    const last = words(name).filter((word) => !CARRIERS.has(word) && !OF_ADDRESSES.has(word)).pop();
    return last !== undefined && ADDRESSES.has(last);
  }

  /** A text with the values of secrets masked: the parameters of a query or form, and the password in a URL. @param {string} text */
  function masked(text) {
    if (!listed.size || !/[=@]/.test(text)) return text;
    return text
      .replace(/:\/\/([^\s/:@?#[]*):[^\s/?#"'<>]*@/g, `://$1:${MASK}@`)
      .replace(/(^|[?&;#\s"'(,])([\w.\-[\]%$+]{1,100})=([^&;#\s"'<>]+)/g, (all, before, name, value) => {
        const known = secret(name) || ("?&".includes(before) && IN_QUERIES.has(name.toLowerCase()));
        return known ? `${before}${name}=${MASK}` : all;
      });
  }

  return { secret, address, text: masked };
}

/** The same redactor, which works a name out once. @param {import("./entry.js").Redactor} redact @returns {import("./entry.js").Redactor} */
export function remembering({ secret, address, text }) {
  return { secret: remembered(secret), address: remembered(address), text };
}

/** @param {(name: string) => boolean} judge */
function remembered(judge) {
  /** @type {Map<string, boolean>} */
  const known = new Map();
  return (/** @type {string} */ name) => {
    let found = known.get(name);
    if (found === undefined) {
      found = judge(name);
      if (known.size >= 4096) known.clear();
      if (name.length <= 200) known.set(name, found);
    }
    return found;
  };
}
