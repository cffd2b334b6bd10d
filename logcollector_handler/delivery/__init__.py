"""From an entry to an answer of the server: queueing, batching, keeping and posting.

On an entry's way come `queue` or `journal` (the logging call's end), `listener` (makes batches), `outbox` or `spool`
(keep them), `sender` and `transport` (post them; below are `network`, `resolver`, `route` and `failures`). What an
answer means is in `answers`, what follows from it in `suspects`, and `settlement` does it. `threads` runs the listener
and the sender, `exit` and `pump` finish their work when the process ends, `workers` has these do what others ask for
(flush, close, end), and `pipeline` puts all of it together for one handler. `carrier` is what these know of the sender:
with `deliver: false` nothing is posted, and `spool.handover` is in its place.

It knows `entry`, `wire`, `settings` and `stats`. The handler and the command line use it through `pipeline`. The rest
of the package takes from it what is of no pipeline: the time (`clock`), the end of the process (`exit`), forks and
threads (`process`).
"""
