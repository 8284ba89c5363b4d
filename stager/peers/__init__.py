"""What speaks to another server: a package for each kind of server that data are brought to.

A client is given addresses, tokens and open descriptors, and never opens a
path of a user's: the process that has the token need not have the rights.
"""
