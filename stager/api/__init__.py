"""The HTTP API: people and other systems come in here.

Run it with Granian, one process a log file, Granian's own access log off
(every request is logged here), and by HTTP/1 alone: the limits know no other::

    granian --interface asgi --factory --http 1 stager.app:create_app \
        --host 127.0.0.1 --port 8000 --no-access-log --workers-kill-timeout 10
"""
