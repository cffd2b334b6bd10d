"""The spool: a directory in which batches wait as files, survive the process, and are shared by many processes.

    <spool_dir>/<destination>/
        <id>.json      a batch, exactly the body that is posted; <id>.json.gz when it is compressed
        <id>.open      a batch that is being written, one entry a line (`durability: record`)
        <id>.lost      says that an answer for the batch was lost, so that the server may have stored it
        <owner>.lock   locked by the process whose batch ids begin with <owner>, for as long as it lives
        usage/<owner>  how many bytes the files of that owner take, for the other processes; usage/dead: of `dead/`
        dead/          records that the server refused, as bodies, and files that were found damaged; <id>.partly.json
                       is the body of a batch of which the server took some records, and did not say which

Each format has an ending of its own in the place of `.json`. The id in the name is the idempotency key, so whichever
process sends the file after a crash sends it under the same key. The destination is a part of the path, so a process
never posts what was logged for another server.

`directory` calls the file system, `files` names what is in the directory, and `bodies` makes files of batches and
batches of files. `owners` holds the locks that say whose files are whose, and `usage` the numbers that processes tell
each other. `look` looks for files of dead processes now and then, and `adoption` makes those ready to be sent. `shelf`
remembers which batches wait and where their bodies are (`turns` those of others), and `room` how many bytes are used.
`reading` decides what becomes of a batch whose file cannot be read. `outbox` puts these together. `handover` is in its
place where a process leaves its batches to others, and `allowance` says how many it may. `survey` looks at a directory
from outside. Nothing outside this package needs `fcntl`, which Windows does not have.
"""

from __future__ import annotations

from .files import destination
from .handover import HandOver
from .look import LOOK_EVERY
from .outbox import SpoolOutbox
from .survey import Holding, is_of_one_server, survey

__all__ = ["LOOK_EVERY", "HandOver", "Holding", "SpoolOutbox", "destination", "is_of_one_server", "survey"]
