"""The records: what was asked for, who does it, and how it ended.

Each noun has a package or a module, which has what the rest of the service
asks of it: ``database``, ``tables``, ``events``, ``leases``, ``items``,
``downloads``, ``requests``, ``runs``, ``tape``, ``insight``. Each function is
one transaction, which is run again while the database is away or locked, and
never does its work twice.
"""
