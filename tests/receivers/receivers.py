"""The receivers that run on Python: VideoPilot's published Flask code, and the official standardwebhooks library.

Secrets: WEBHOOK_SECRET (VideoPilot), STANDARD_SECRET.
"""

import hashlib
import io
import json
import os
import sys
import threading

from flask import Flask, request
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
from werkzeug.serving import WSGIRequestHandler, make_server

from published import videopilot

OUTPUT = threading.Lock()


class Recording:
    """One line of JSON on the standard output for every request answered, written before its answer."""

    def __init__(self, receiver, app):
        self.receiver, self.app = receiver, app

    def __call__(self, environ, start_response):
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)

        def recorded(status, headers, exc_info=None):
            line = {
                "receiver": self.receiver,
                "method": environ["REQUEST_METHOD"],
                "path": environ["REQUEST_URI"],
                "headers": environ["ringback.headers"],
                "sha256": hashlib.sha256(body).hexdigest(),
                "body": body.decode(errors="replace"),
                "status": int(status.split()[0]),
            }
            with OUTPUT:
                print(json.dumps(line), flush=True)
            return start_response(status, headers, exc_info)

        return self.app(environ, recorded)


class QuietHandler(WSGIRequestHandler):
    """Keeps the headers as they came, which the environment of WSGI does not."""

    def make_environ(self):
        return {**super().make_environ(), "ringback.headers": self.headers.items()}

    def log(self, *_):
        pass


def standard():
    app = Flask("standardwebhooks")

    @app.post("/")
    def receive():
        try:
            Webhook(os.environ["STANDARD_SECRET"]).verify(request.get_data(), dict(request.headers))
        except WebhookVerificationError as refused:
            return str(refused), 401
        return "", 204

    return app


# Exceptions are part of what the published code does with a bad signature; the verdict is recorded.
videopilot.app.logger.disabled = True
videopilot.print = lambda *_: None
videopilot.queue_video_for_rendering = lambda *_: None
videopilot.notify_user_video_ready = lambda *_: None

ports = {}
for name, application in {"videopilot_flask": videopilot.app, "standardwebhooks_python": standard()}.items():
    server = make_server("127.0.0.1", 0, Recording(name, application), threaded=True, request_handler=QuietHandler)
    ports[name] = server.server_port
    threading.Thread(target=server.serve_forever, daemon=True).start()
print(json.dumps(ports), flush=True)
sys.stdin.read()
