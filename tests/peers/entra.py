"""The token endpoint of Exchange Online's login, which believes no assertion that it has not checked."""

import base64
import hashlib
import json
import secrets
import tempfile
import threading
import time
import urllib.parse
import uuid

from harness import openssl

SCOPE = "https://outlook.office365.com/.default"
KIND = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
# Seconds: an assertion may not live longer, and clocks may differ by so much.
LONGEST, SKEW = 600, 300


class Rejected(Exception):
    """A login that is refused: `error`, Entra's own number, and words."""

    def __init__(self, error, number, text, status=401):
        super().__init__(text)
        self.status, self.body = status, {"error": error, "error_description": f"AADSTS{number}: {text}", "error_codes": [number]}


def unpacked(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Entra:
    """One tenant, one application with one certificate. `life`: seconds that a token lasts; `issued` holds all tokens with their ends."""

    def __init__(self, certificate, tenant=None, client=None, life=3600):
        self.life = life
        self.tenant, self.client = tenant or str(uuid.uuid4()), client or str(uuid.uuid4())
        self.issued, self.used, self.rejected, self.assertions, self.lock = {}, set(), [], [], threading.Lock()
        # Uploaded once: what becomes of the file afterwards is no business of ours.
        self.public_key = openssl("x509", "-in", certificate, "-pubkey", "-noout")
        der = openssl("x509", "-in", certificate, "-outform", "DER")
        self.thumbprints = {
            "x5t": base64.urlsafe_b64encode(hashlib.sha1(der).digest()).decode().rstrip("="),
            "x5t#S256": base64.urlsafe_b64encode(hashlib.sha256(der).digest()).decode().rstrip("="),
        }

    def path(self):
        return f"/{self.tenant}/oauth2/v2.0/token"

    def token(self, path, body, base):
        """The answer to a request for a token; `Rejected` where it is none of our application's."""
        try:
            if path.lower() != self.path().lower():
                raise Rejected("invalid_tenant", 90002, "Tenant not found.", 400)
            form = dict(urllib.parse.parse_qsl(body.decode(), keep_blank_values=True))
            for key, wanted in (("grant_type", "client_credentials"), ("scope", SCOPE), ("client_assertion_type", KIND)):
                if form.get(key) != wanted:
                    raise Rejected("invalid_request", 900144, f"The request body must contain the parameter '{key}' as '{wanted}'.", 400)
            if form.get("client_id", "").lower() != self.client:
                raise Rejected("unauthorized_client", 700016, "Application not found in the directory.", 400)
            self.check(form.get("client_assertion", ""), f"{base}{self.path()}")
        except Rejected as refused:
            self.rejected.append(refused.body["error_description"])
            raise
        return self.another()

    def another(self):
        with self.lock:
            made = "eyJ0eXAiOiJKV1QifQ." + secrets.token_urlsafe(120) + "." + secrets.token_urlsafe(40)
            self.issued[made] = time.time() + self.life
            return {"token_type": "Bearer", "expires_in": int(self.life), "ext_expires_in": int(self.life), "access_token": made}

    def opens(self, authorization):
        """Whether that header has a token that is good now."""
        kind, _, token = (authorization or "").partition(" ")
        return kind == "Bearer" and self.issued.get(token, 0) > time.time()

    def expire(self):
        """All tokens so far are over."""
        with self.lock:
            self.issued = dict.fromkeys(self.issued, 0)

    def check(self, assertion, audience):
        try:
            head, claims, signature = assertion.split(".")
            header, said, signature = json.loads(unpacked(head)), json.loads(unpacked(claims)), unpacked(signature)
        except ValueError as error:
            raise Rejected("invalid_client", 50027, "JWT token is invalid or malformed.") from error
        self.assertions.append(assertion)
        thumbprint = {"RS256": "x5t", "PS256": "x5t#S256"}.get(header.get("alg"))
        if thumbprint is None or header.get(thumbprint) != self.thumbprints[thumbprint]:
            raise Rejected("invalid_client", 700027, "The certificate with identifier used to sign the client assertion is not registered on application.")
        if not self.signed(header["alg"], f"{head}.{claims}".encode(), signature):
            raise Rejected("invalid_client", 700027, "Client assertion failed signature validation.")
        self.claimed(said, audience)

    def claimed(self, said, audience):
        if said.get("aud") != audience:
            raise Rejected("invalid_client", 700023, f"Client assertion audience claim does not match Realm issuer: {said.get('aud')}")
        if not str(said.get("iss")).lower() == str(said.get("sub")).lower() == self.client:
            raise Rejected("invalid_client", 700021, "Client assertion's iss or sub is not the application.")
        moment = time.time()
        if not isinstance(said.get("exp"), int) or said["exp"] < moment - SKEW:
            raise Rejected("invalid_client", 700024, "Client assertion is not within its valid time range.")
        if said["exp"] > moment + LONGEST + 5 or said.get("nbf", moment) > moment + SKEW:
            raise Rejected("invalid_client", 700024, "Client assertion lives longer than ten minutes, or not yet.")
        with self.lock:
            if not said.get("jti") or said["jti"] in self.used:
                raise Rejected("invalid_client", 700025, "Client assertion has no jti, or one that was seen before.")
            self.used.add(said["jti"])

    def signed(self, algorithm, text, signature):
        padding = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"] if algorithm == "PS256" else []
        with tempfile.TemporaryDirectory() as folder:
            key, file = f"{folder}/key.pem", f"{folder}/signature"
            with open(key, "wb") as out:
                out.write(self.public_key)
            with open(file, "wb") as out:
                out.write(signature)
            try:
                return b"Verified OK" in openssl("dgst", "-sha256", *padding, "-verify", key, "-signature", file, stdin=text)
            except AssertionError:
                return False
