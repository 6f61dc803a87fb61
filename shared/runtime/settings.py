"""Settings come from the environment, into frozen structs; all faults are told at once.

A field ``http_port`` comes from ``COLOBUS_HTTP_PORT``, or from the file that
``COLOBUS_HTTP_PORT_FILE`` names (for secrets: its content, without surrounding white space).
A variable that is set but empty counts as not set; a file that is empty is a fault, except where
the setting is a list or a mapping that need not be set: then it has nothing in it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from shared.runtime.errors import ConfigurationError
from shared.runtime.tls import ServerCertificate, Trust

PREFIX = "COLOBUS_"
_S = TypeVar("_S", bound=msgspec.Struct)


class Secret(str):
    """A string that `repr`, and so a struct's repr, doesn't show; logs mask it as well."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


class SettingsError(ConfigurationError):
    """Settings are missing or wrong; ``faults`` has one line for each."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


class ProcessSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the process itself needs, before anything is wired."""

    installation_id: str = ""
    log_level: Annotated[
        str,
        Meta(
            pattern=r"^(debug|info|warning|error)$",
            description="debug, info, warning or error",
        ),
    ] = "info"
    drain_seconds: Annotated[float, Meta(gt=0, le=3600, description="seconds, up to 3600")] = 20
    otlp_endpoint: (
        Annotated[str, Meta(pattern="^https?://", description="an http(s) URL of a collector")]
        | None
    ) = None
    trace_ratio: Annotated[float, Meta(ge=0, le=1, description="a number from 0 to 1")] = 1


class CommonSettings(ProcessSettings, frozen=True, kw_only=True):
    """What every service needs. The URLs of a broker cluster are comma separated.

    ``amqp_ca_file`` is who vouches for brokers at ``amqps://`` (default: whom the system trusts),
    ``amqp_cert_file`` and ``amqp_key_file`` what we show them; with ``http_tls_cert_file`` and
    ``http_tls_key_file`` our own listener speaks https. All are PEM (`shared.runtime.tls`).
    """

    installation_id: Annotated[
        str,
        Meta(pattern=r"^[a-z0-9-]{1,32}$", description="1-32 lower-case letters, digits and '-'"),
    ]
    amqp_urls: Annotated[tuple[Secret, ...], Meta(min_length=1)]
    http_port: Annotated[int, Meta(ge=0, le=65535, description="a TCP port; 0 takes a free one")]
    http_host: str = "127.0.0.1"
    amqp_ca_file: Path | None = None
    amqp_cert_file: Path | None = None
    amqp_key_file: Path | None = None
    http_tls_cert_file: Path | None = None
    http_tls_key_file: Path | None = None

    @property
    def amqp_trust(self) -> Trust:
        """Whom to believe on the bus."""
        return Trust(self.amqp_ca_file, self.amqp_cert_file, self.amqp_key_file)

    @property
    def http_certificate(self) -> ServerCertificate | None:
        """What our own listener shows; raises `ConfigurationError` when it can't be used."""
        return ServerCertificate.of(self.http_tls_cert_file, self.http_tls_key_file)


class DatabaseSettings(CommonSettings, frozen=True, kw_only=True):
    """What a service with tables of its own needs."""

    database_dsn: Secret
    database_pool_size: Annotated[int, Meta(ge=2, le=200)] = 10


def load(struct: type[_S], environ: Mapping[str, str] = os.environ) -> _S:
    """Read the fields of ``struct`` from ``environ``.

    Fields may be str, int, float, bool, Path, `Secret`, a tuple of these (comma separated) or a
    dict of them (``a=b,c=d``), annotated with `msgspec.Meta` and optional.

    Raises `SettingsError` with a line for each variable that is missing or wrong.
    """
    hints = get_type_hints(struct, include_extras=True)
    values: dict[str, Any] = {}
    faults: list[str] = []
    for field in msgspec.structs.fields(struct):
        variable = PREFIX + field.name.upper()
        try:
            optional = not field.required and _is_collection(hints[field.name])
            text = _text(variable, environ, may_be_empty=optional)
            if text is not None:
                values[field.name] = _convert(text, hints[field.name])
            elif field.required:
                faults.append(f"{variable} is missing; expected {_expectation(hints[field.name])}")
        except ValueError as fault:
            expected = _expectation(hints[field.name])
            faults.append(f"{variable}: {fault}; expected {expected}")
    if faults:
        raise SettingsError(faults)
    return struct(**values)


def _text(variable: str, environ: Mapping[str, str], *, may_be_empty: bool) -> str | None:
    direct, file = environ.get(variable), environ.get(f"{variable}_FILE")
    if direct and file:
        raise ValueError(f"both it and {variable}_FILE are set")
    if not file:
        return direct or None
    try:
        text = Path(file).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ValueError(f"cannot read {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is not UTF-8") from error
    if not text and not may_be_empty:
        raise ValueError(f"{file} is empty")
    return text


def _convert(text: str, hint: Any) -> Any:
    plain = _plain(hint)
    structured: Any = text
    if get_origin(plain) is tuple:
        structured = [part.strip() for part in text.split(",") if part.strip()]
    elif get_origin(plain) is dict:
        structured = dict(_pair(part) for part in text.split(",") if part.strip())
    try:
        value = msgspec.convert(structured, hint, strict=False, dec_hook=_custom)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None  # the cause could carry the value
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("not a finite number")
    return value


def _is_collection(hint: Any) -> bool:
    return get_origin(_plain(hint)) in (tuple, dict)


def _pair(part: str) -> tuple[str, str]:
    name, equals, value = (piece.strip() for piece in part.partition("="))
    if not (name and equals and value):
        raise ValueError("a part is not of the form name=value")
    return name, value


def _custom(wanted: type, value: Any) -> Any:
    return wanted(value)


def _plain(hint: Any) -> Any:
    """``hint`` without Annotated and without the None of an optional field."""
    if get_origin(hint) is Annotated:
        return _plain(get_args(hint)[0])
    alternatives = [part for part in get_args(hint) if part is not type(None)]
    is_optional = len(alternatives) == 1 and len(get_args(hint)) == 2
    return _plain(alternatives[0]) if is_optional else hint


def _expectation(hint: Any) -> str:
    description = _description(hint)
    if description:
        return description
    plain = _plain(hint)
    if get_origin(plain) is tuple:
        return f"{_word(get_args(plain)[0])}s, separated by commas"
    if get_origin(plain) is dict:
        return "name=value pairs, separated by commas"
    return f"a {_word(plain)}"


def _description(hint: Any) -> str | None:
    if get_origin(hint) is Annotated:
        return next((meta.description for meta in get_args(hint)[1:] if meta.description), None)
    return next((found for part in get_args(hint) if (found := _description(part))), None)


def _word(kind: Any) -> str:
    words = {str: "text", int: "whole number", float: "number", bool: "true or false"}
    words |= {Path: "path", Secret: "secret"}
    return words.get(_plain(kind), str(kind))
