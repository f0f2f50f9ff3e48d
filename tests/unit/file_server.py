"""A web server in a thread that behaves, or misbehaves, as a test says."""

import re
import socket
import struct
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PAGE = b"<!DOCTYPE html><html><body>Please log in</body></html>"


class FileServer(ThreadingHTTPServer):
    """Serves ``content`` under every path.

    Attributes:
        manners: What to do with each request, the last one for all that follow: good, cut (at
            half of what is left), no_ranges, cut_no_ranges, html, html_mislabelled, stall, wrong,
            short, endless, unsized_cut, chunked, chunked_cut, reset, slow, drip, byte,
            other_range, or a status code.
        requests: Path and Range header of every request.
        sent: Bytes of content sent, for each request.
        retry_after: The header of this name with an error.
        etags: The ETag of each answer, the last one for all that follow; "" for none.
    """

    daemon_threads = True

    def __init__(self, content):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content, self.manners = content, ["good"]
        self.requests, self.sent, self.etags = [], [], [""]
        self.retry_after = ""
        self.released = threading.Event()

    def url(self, path="a.bin"):
        return f"http://127.0.0.1:{self.server_address[1]}/{path}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        """Say nothing."""

    def do_GET(self):
        server = self.server
        number = len(server.requests)
        server.requests.append((self.path, self.headers["Range"]))
        server.sent.append(0)
        manner = server.manners[min(number, len(server.manners) - 1)]
        self.close_connection = True
        if isinstance(manner, int):
            headers = {"Retry-After": server.retry_after} if server.retry_after else {}
            self._head(manner, headers | {"Content-Length": 0})
        elif manner.startswith("html"):
            kind = "application/gzip" if manner == "html_mislabelled" else "text/html; charset=x"
            self._head(200, {"Content-Type": kind, "Content-Length": len(PAGE)})
            self.wfile.write(PAGE)
        else:
            self._file(manner, number)

    def _head(self, status, headers):
        self.send_response(status)
        for key, value in {**headers, "Connection": "close"}.items():
            self.send_header(key, str(value))
        self.end_headers()

    def _file(self, manner, number):
        content = self.server.content
        if manner == "wrong":
            content = content[::-1]
        if manner == "short":
            content = content[:-10]
        start, status = 0, 200
        ranged = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
        etag = self.server.etags[min(number, len(self.server.etags) - 1)]
        headers = {"Content-Type": "application/octet-stream"} | ({"ETag": etag} if etag else {})
        if self.headers["If-Range"] not in (None, etag):
            ranged = None
        if "no_ranges" not in manner:
            headers["Accept-Ranges"] = "bytes"
            if ranged:
                start, status = int(ranged[1]), 206
                if start >= len(content):
                    self._head(416, {"Content-Range": f"bytes */{len(content)}"})
                    return
                first = 0 if manner == "other_range" else start
                headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
        body = content[start:]
        if manner.startswith("chunked"):
            headers["Transfer-Encoding"] = "chunked"
        elif manner not in ("endless", "unsized_cut"):
            headers["Content-Length"] = len(body)
        self._head(status, headers)
        self._body(manner, body, number)

    def _body(self, manner, body, number):
        half = body[: len(body) // 2]
        self.server.sent[number] = len(half if "cut" in manner else body)
        if manner == "chunked":
            for piece in (half, body[len(half) :]):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")
        elif manner == "chunked_cut":
            self.wfile.write(b"%x\r\n%s" % (len(body), half))
        elif manner == "reset":
            self.wfile.write(half)
            self.wfile.flush()
            # Closed with lingering of no time, a connection is reset.
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        elif manner == "byte":
            self.wfile.write(body[:1])
        elif manner == "drip":
            for byte in body:
                if self.server.released.wait(0.01):
                    break
                self.wfile.write(bytes([byte]))
        elif manner == "endless":
            self.wfile.write(body * 3)
        elif "cut" in manner:
            self.wfile.write(half)
        elif manner == "stall":
            self.wfile.write(half)
            self.server.released.wait(10)
        elif manner == "slow":
            self.wfile.write(half)
            time.sleep(0.5)
            self.wfile.write(body[len(half) :])
        else:
            self.wfile.write(body)


@contextmanager
def serving(content):
    """Yield a running :class:`FileServer`."""
    server = FileServer(content)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
