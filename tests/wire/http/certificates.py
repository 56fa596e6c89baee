"""Certificates made for the test that needs them, by the openssl command."""

from __future__ import annotations

import subprocess
from pathlib import Path

from equipoise.http import TLSFiles


class Authority:
    """A certificate authority that lives for one test."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.certificate = str(folder / "ca.pem")
        self._key = str(folder / "ca.key")
        _openssl(
            "req",
            "-x509",
            *NEW_KEY,
            "-keyout",
            self._key,
            "-out",
            self.certificate,
            "-subj",
            "/CN=test authority",
            *IS_AUTHORITY,
        )

    def issue(self, name: str, *, file: str = "") -> TLSFiles:
        """A certificate for a DNS name or IP address."""
        path = self._folder / (file or name)
        key, certificate, request = f"{path}.key", f"{path}.pem", f"{path}.csr"
        _openssl("req", *NEW_KEY, "-keyout", key, "-out", request, "-subj", f"/CN={name}")
        extension = Path(f"{path}.ext")
        kind = "IP" if name[0].isdigit() else "DNS"
        extension.write_text(f"subjectAltName={kind}:{name}\nauthorityKeyIdentifier=keyid\nkeyUsage=digitalSignature\n")
        authority = ("-CA", self.certificate, "-CAkey", self._key, "-CAcreateserial")
        _openssl(
            "x509", "-req", "-in", request, *authority, "-days", "2", "-extfile", str(extension), "-out", certificate
        )
        return TLSFiles(certificate, key)


NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
# What Python 3.13 insists on (VERIFY_X509_STRICT).
IS_AUTHORITY = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
