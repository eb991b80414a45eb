"""HTTPS for the trial: nginx with the sample configuration, and a certificate of its own."""

import datetime as dt
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tools.compose_trial.engine import ROOT

SAMPLE = ROOT / "docs" / "how-to" / "nginx.conf"
API = "sms.example.com"
"""The sample's name of the public address."""
SIMULATORS = {name: f"{name}.example.com" for name in ("paypal", "stripe", "twilio")}
_SIMULATOR = """
server {{
    listen 443 ssl;
    server_name {host};
    ssl_certificate     /etc/letsencrypt/live/{api}/fullchain.pem;
    ssl_certificate_key /etc/letsencrypt/live/{api}/privkey.pem;
    location / {{
        proxy_http_version 1.1;
        proxy_set_header Host $host;
        proxy_set_header Connection "";
        proxy_pass http://{name}:9000;
    }}
}}
"""


def write(to: Path) -> None:
    """nginx.conf, and the certificate and key that it names; everything trusts that certificate."""
    simulators = [
        _SIMULATOR.format(name=name, host=host, api=API) for name, host in SIMULATORS.items()
    ]
    (to / "nginx.conf").write_text(
        SAMPLE.read_text().replace("127.0.0.1:8000", "api:8000") + "".join(simulators)
    )
    key = ec.generate_private_key(ec.SECP256R1())
    (to / "fullchain.pem").write_bytes(
        _certificate(key, dt.datetime.now(dt.UTC)).public_bytes(serialization.Encoding.PEM)
    )
    (to / "privkey.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    to.chmod(0o755)  # nginx, the simulators and Tollgate are different users


def _certificate(key: ec.EllipticCurvePrivateKey, now: dt.datetime) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Tollgate's trial")])
    names = x509.SubjectAlternativeName(
        [x509.DNSName(host) for host in (API, *SIMULATORS.values())]
    )
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
