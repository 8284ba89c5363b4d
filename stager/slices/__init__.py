"""Small files, a slice of a directory at a time: done here, or by another process.

A slice is some names of one directory. ``copying`` and ``looking`` do one;
``helper`` is the process that does them for another, which starts in some
20 ms because nothing that it imports knows of products, errors and records;
``helpers`` hands slices out and takes what comes back in the order in which
they were put in. What a helper cannot do it leaves, and nothing of it: its
caller, who can name what fails, does that.
"""
