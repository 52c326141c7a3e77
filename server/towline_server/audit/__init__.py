"""The audit log: who changed what, when and from where, written with the change itself.

`actor` knows who acts, `log` writes an event in the transaction of a change, and `reading` reads
them. An event is never changed, and is deleted by retention alone: see `tables`.
"""
