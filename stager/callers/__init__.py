"""Who calls, and what they may do: routes take ``current.CurrentCaller``, or ``SeenRequest`` where a path names one."""
