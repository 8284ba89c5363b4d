"""Copying of small files in slices of a directory, in this process or by helper processes.

A slice is some names of one directory. ``copying`` and ``looking`` do one;
``helper`` is the process that does them for another, which starts in some
20 ms because nothing that it imports knows of products, errors and records;
``helpers`` hands slices out and takes what comes back in the order in which
they were put in. What a helper cannot do it leaves, and nothing of it: its
caller, who can name what fails, does that.
"""
