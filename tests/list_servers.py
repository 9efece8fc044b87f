"""What the loopback services of list owners share: answers, the faults of connections, a server in a thread."""

import ssl
import threading
import time
from contextlib import contextmanager
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class OwnerHandler(BaseHTTPRequestHandler):
    """Answers for `server.service`, which has `moment()` (its time, or None if it tells none) and `garbage()`."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # an answer is two small writes
    wbufsize = 1 << 16

    def log_message(self, *_):
        """Silence."""

    def answer_with(self, fault, body):
        """An answer, or what a fault makes of it."""
        if fault == "garbage":
            body = self.server.service.garbage()
        if fault == "huge":
            body += b" " * (4 << 20)
        if fault == "compressed":
            return self.send(200, body, {"Content-Encoding": "gzip"})
        if fault == "slow":
            self.send(200, body, cut=0)
            for byte in body[:40]:
                self.wfile.flush()
                time.sleep(0.05)
                self.wfile.write(bytes([byte]))
            self.close_connection = True
            return None
        if fault == "half":
            self.send(200, body, cut=len(body) // 2)
            self.close_connection = True
            return None
        return self.send(200, body)

    def send(self, status, body, headers=None, cut=None):
        """Status, time, headers and a body, perhaps cut."""
        self.send_response_only(status)
        moment = self.server.service.moment()
        if moment is not None:
            self.send_header("Date", format_datetime(moment, usegmt=True))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:cut])


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """A client that goes away, as tests have it do, is no news."""


@contextmanager
def serving_by(handler, service, certificate=None):
    """The service's base address while it runs; by HTTPS where there is a certificate (chain and key in one file)."""
    server = Server(("127.0.0.1", 0), handler)
    server.service = service
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http{'s' if certificate else ''}://127.0.0.1:{server.server_port}{service.prefix}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
