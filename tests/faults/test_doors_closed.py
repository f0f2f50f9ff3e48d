"""A proxy that wants a password, a certificate that has expired, and weights half in a cache."""

import hashlib
import ipaddress
import os
import ssl
import subprocess
import sys
from datetime import datetime

import pytest
from downloads import CONTENT, failure, served
from file_server import serving


@pytest.fixture
def server():
    with serving(CONTENT) as running:
        yield running


def test_a_proxy_that_wants_a_password_is_one_line(server, tmp_path, monkeypatch):
    server.manners = [407]
    monkeypatch.setenv("http_proxy", server.url(""))
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    line = failure(served("http://archives.invalid/a.bin"), tmp_path / "raw/a.bin")
    assert "HTTP 407 Proxy Authentication Required" in line
    assert len(server.requests) == 1  # no other answer will come


def expired_certificate() -> bytes:
    """A key and its certificate for 127.0.0.1, of January 2020."""
    pytest.importorskip("cryptography")
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name)
    made = made.public_key(key.public_key()).serial_number(1).add_extension(address, False)
    made = made.not_valid_before(datetime(2020, 1, 1)).not_valid_after(datetime(2020, 2, 1))
    pem = serialization.Encoding.PEM
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(pem, *form) + made.sign(key, hashes.SHA256()).public_bytes(pem)


def test_a_certificate_that_has_expired_is_one_line(server, tmp_path, monkeypatch):
    pem = tmp_path / "certificate.pem"
    pem.write_bytes(expired_certificate())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(pem))  # it is trusted, but for its date
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    url = server.url().replace("http:", "https:")
    line = failure(served(url), tmp_path / "raw/a.bin")
    assert "certificate has expired" in line
    assert server.requests == []


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["cut", "emptied", "flipped head", "broken link"])
def test_weights_half_in_the_hubs_cache_are_one_line(tmp_path, damage):
    import timm
    from safetensors.torch import save

    whole = save(timm.create_model("test_resnet").state_dict())
    content = {
        "cut": whole[: len(whole) // 2],
        "emptied": b"",
        "flipped head": bytes([whole[0] ^ 0xFF]) + whole[1:],
    }
    cache = tmp_path / "home/hub/models--timm--test_resnet.r160_in1k"
    commit, blob = "0" * 40, hashlib.sha256(whole).hexdigest()
    for name in ("refs", "blobs", f"snapshots/{commit}"):
        (cache / name).mkdir(parents=True)
    (cache / "refs/main").write_text(commit)
    if damage in content:
        (cache / "blobs" / blob).write_bytes(content[damage])
    (cache / "snapshots" / commit / "model.safetensors").symlink_to(f"../../blobs/{blob}")
    code = (
        "from test_backbones import Embedder, recipe\n"
        "from dmlbench.errors import ConfigError\n"
        "try:\n    Embedder(recipe('test_resnet', weights='r160_in1k'), 3, 64)\n"
        "except ConfigError as error:\n    print('told:', error)"
    )
    environment = os.environ | {"HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    assert line.startswith("told: ")
    assert "r160_in1k" in line
