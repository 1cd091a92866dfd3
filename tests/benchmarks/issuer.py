"""An issuer of one key and one token: `python -m tests.benchmarks.issuer TOKEN_FILE` serves the key and prints its port."""

from http.server import BaseHTTPRequestHandler, HTTPServer
import json
from pathlib import Path
import sys
import time
from typing import Any, override

from cryptography.hazmat.primitives.asymmetric import rsa
import jwt

AUDIENCE = "bench"


def _keys(public: rsa.RSAPublicKey) -> bytes:
    key: dict[str, Any] = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(public))
    return json.dumps({"keys": [{**key, "kid": "1", "alg": "RS256", "use": "sig"}]}).encode()


def main(file: Path) -> None:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    keys = _keys(private.public_key())
    claims = {"sub": "bench", "aud": AUDIENCE, "groups": ["a", "b"], "exp": int(time.time()) + 3600}
    file.write_text(jwt.encode(claims, private, "RS256", {"kid": "1"}), "utf-8")

    class Keys(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-length", str(len(keys)))
            self.end_headers()
            self.wfile.write(keys)

        @override
        def log_message(self, *_: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Keys) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
