"""Why data are not there yet: the cause, since when, who can mend it, and when it may be over."""
