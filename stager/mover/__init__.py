"""The mover: the process that is the user, and does all that touches their files.

What runs the flow stays the service's account, with the records, Prefect and
the secrets. It starts a mover (``start``), tells it which items there are and
what to do with them (``Mover``), and believes what it says for these items
alone. The mover (``process``) has no password, no database, no Prefect; it
was forked, before it had a thread, from a process that never had any
(``starter``), became its user for good, and imports nothing late. Whoever
stops, kills or traces it harms nobody else: the other side waits with a limit
and holds no lock meanwhile.

This file imports nothing: a mover has no use for what only the service needs, pydantic above all.
"""
