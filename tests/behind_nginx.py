"""What the service and an nginx in front of it are told in the tests."""

from typing import Any

SECRET = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
# What the service is told.
VARIABLES: dict[str, Any] = {"STAGER_NGINX_FILES": "/stager-files", "STAGER_NGINX_SECRET": SECRET}
# What lies beside nginx.conf, as secret.conf.
FILE = f"proxy_set_header X-Stager-Secret {SECRET};\n"
