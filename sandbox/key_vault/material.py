"""Key material: made, shown as a JSON Web Key, and used to wrap."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Literal

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from sandbox.key_vault.errors import bad_parameter, operation_forbidden

type Material = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
type WrapAlgorithm = Literal["RSA-OAEP", "RSA-OAEP-256"]

_RSA_SIZES = (2048, 3072, 4096)
_CURVES: dict[str, ec.EllipticCurve] = {
    "P-256": ec.SECP256R1(),
    "P-384": ec.SECP384R1(),
    "P-521": ec.SECP521R1(),
    "P-256K": ec.SECP256K1(),
}
_HASHES: dict[str, type[hashes.HashAlgorithm]] = {
    "RSA-OAEP": hashes.SHA1,
    "RSA-OAEP-256": hashes.SHA256,
}


def generate(kty: str, size: int | None, curve: str | None) -> Material:
    """Make new material; an RSA key of 2048 bits takes some 70 ms.

    Args:
        kty: ``RSA``, ``EC``, or either with ``-HSM``.
        size: Of an RSA key, in bits; 2048 if ``None``, as the service does.
        curve: Of an EC key; ``P-256`` if ``None``, as the service does.

    Raises:
        KeyVaultError: Any of them is not supported.
    """
    match kty.removesuffix("-HSM"):
        case "RSA" if (bits := size or 2048) in _RSA_SIZES:
            return rsa.generate_private_key(public_exponent=65537, key_size=bits)
        case "EC" if (name := curve or "P-256") in _CURVES:
            return ec.generate_private_key(_CURVES[name])
        case _:
            raise bad_parameter(f"Not supported: kty {kty}, key_size {size}, crv {curve}.")


def like(material: Material) -> Material:
    """Make new material of the same type and size: what a rotation does."""
    if isinstance(material, rsa.RSAPrivateKey):
        return rsa.generate_private_key(public_exponent=65537, key_size=material.key_size)
    return ec.generate_private_key(material.curve)


def public_jwk(material: Material) -> dict[str, str]:
    """Return the public members of the JSON Web Key, without ``kid``, ``kty`` and ``key_ops``."""
    if isinstance(material, rsa.RSAPrivateKey):
        rsa_numbers = material.public_key().public_numbers()
        return {"n": _number(rsa_numbers.n), "e": _number(rsa_numbers.e)}
    numbers = material.public_key().public_numbers()
    length = (material.curve.key_size + 7) // 8
    curve = next(name for name, curve in _CURVES.items() if curve.name == material.curve.name)
    return {"crv": curve, "x": _number(numbers.x, length), "y": _number(numbers.y, length)}


def wrap(material: Material, algorithm: str, secret: bytes) -> bytes:
    """Encrypt ``secret`` with the public key.

    Raises:
        KeyVaultError: The algorithm is not supported, or ``secret`` is too long for the key.
    """
    key = _rsa(material, "wrapKey").public_key()
    try:
        return key.encrypt(secret, _oaep(algorithm))
    except ValueError as error:
        raise bad_parameter(f"The value cannot be wrapped with this key: {error}") from error


def unwrap(material: Material, algorithm: str, blob: bytes) -> bytes:
    """Decrypt what ``wrap`` gave.

    Raises:
        KeyVaultError: ``blob`` was wrapped with another key or algorithm.
    """
    key = _rsa(material, "unwrapKey")
    try:
        return key.decrypt(blob, _oaep(algorithm))
    except ValueError as error:
        raise bad_parameter("The parameter is incorrect.\r\n") from error


def encode(value: bytes) -> str:
    """Return base64url without padding, as Key Vault writes all bytes."""
    return urlsafe_b64encode(value).rstrip(b"=").decode()


def decode(text: object) -> bytes:
    """Read base64url with or without padding.

    Raises:
        KeyVaultError: ``text`` is not text in base64url.
    """
    if not isinstance(text, str):
        raise bad_parameter("Property value is missing or is not a string.")
    try:
        return urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError as error:
        raise bad_parameter("Property value is not base64url.") from error


def _rsa(material: Material, operation: str) -> rsa.RSAPrivateKey:
    if not isinstance(material, rsa.RSAPrivateKey):
        raise operation_forbidden(operation)
    return material


def _oaep(algorithm: str) -> padding.OAEP:
    if algorithm not in _HASHES:
        raise bad_parameter(f"The algorithm '{algorithm}' is not supported.")
    digest = _HASHES[algorithm]()
    return padding.OAEP(padding.MGF1(digest), digest, None)


def _number(value: int, length: int | None = None) -> str:
    return encode(value.to_bytes(length or (value.bit_length() + 7) // 8))
