"""Signs and verifies calls of 1.0.0-rc.2 with software nobody here wrote: http-message-signatures and cryptography.

  rfc9421.py call METHOD URL KEY KEYID ALGORITHM CA [BODY]   signs one request, sends it, prints status and body
  rfc9421.py serve PUBLIC_KEY ALGORITHM                      answers 200 to what verifies, 401 to what does not
"""

import base64
import hashlib
import http.server
import sys

import requests
from http_message_signatures import HTTPMessageSigner, HTTPMessageVerifier, HTTPSignatureKeyResolver, algorithms

ALGORITHMS = {
    "ecdsa-p256-sha256": algorithms.ECDSA_P256_SHA256,
    "rsa-v1_5-sha256": algorithms.RSA_V1_5_SHA256,
}


class Key(HTTPSignatureKeyResolver):
    def __init__(self, path):
        with open(path, "rb") as file:
            self.pem = file.read()

    def resolve_private_key(self, key_id):
        return self.pem

    def resolve_public_key(self, key_id):
        return self.pem


def digest(body):
    return "sha-256=:" + base64.b64encode(hashlib.sha256(body).digest()).decode() + ":"


def call(method, url, key, key_id, algorithm, authority, body=""):
    request = requests.Request(method, url, data=body.encode() if body else None)
    components = ["@method", "@target-uri"]
    if body:
        request.headers["Content-Type"] = "application/json"
        components.append("content-digest")
    message = request.prepare()
    signer = HTTPMessageSigner(signature_algorithm=ALGORITHMS[algorithm], key_resolver=Key(key))
    # The digest is the library's own, too.
    signer.sign(
        message,
        key_id=key_id,
        label="sig1",
        include_alg=False,
        covered_component_ids=components,
        body=message.body,
    )
    answer = requests.Session().send(message, verify=authority, timeout=30)
    print(answer.status_code)
    print(answer.text)


def serve(key, algorithm):
    verifier = HTTPMessageVerifier(signature_algorithm=ALGORITHMS[algorithm], key_resolver=Key(key))

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            url = "http://" + self.headers["Host"] + self.path
            message = requests.Request(self.command, url, headers=dict(self.headers)).prepare()
            required = ["@method", "@target-uri"] + (["content-digest"] if body else [])
            try:
                verifier.verify(message, require_components=required)
                if body and self.headers["Content-Digest"] != digest(body):
                    raise ValueError("the digest is not that of the body")
                status, text = 200, b'{"bundle":null,"deployments":[],"manifestVersion":1}'
            except Exception as error:
                status, text = 401, repr(error).encode()
                print(repr(error), file=sys.stderr, flush=True)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PUT = do_DELETE = answer

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    {"call": call, "serve": serve}[sys.argv[1]](*sys.argv[2:])
