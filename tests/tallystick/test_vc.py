"""Verifiable credentials: the published vectors, and every document that must be refused."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import base58
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick import (
    credential,
    data_integrity,
    did,
    did_document,
    jcs,
    status_list,
    timestamp,
    vc,
)
from tallystick.credential import StatusReference
from tallystick.errors import (
    FormatError,
    KeyUnknownError,
    LimitError,
    SignatureError,
    TallystickError,
)
from tallystick.keys import ESP256, PrivateKey, PublicKey
from tests.world import START, SimKey, key

PUBLISHED = Path(__file__).resolve().parent.parent / "vectors" / "published"
W3C = PUBLISHED / "vc-di-eddsa"
JCS = PUBLISHED / "jcs"
ISSUER = did.did_key(key("issuer").public)
DEVICE = did.did_key(key("device").public)
SITE = "did:web:example.org:sensors"
LIST = "https://example.org/sensors/status/3/revocation"


def w3c(name: str) -> str:
    return (W3C / "eddsa-jcs-2022" / name).read_text()


def w3c_key() -> PrivateKey:
    pair = json.loads((W3C / "keyPair.json").read_text())
    return PrivateKey.from_seed(base58.b58decode(pair["privateKeyMultibase"][1:])[2:])


def w3c_method() -> str:
    name: str = json.loads((W3C / "keyPair.json").read_text())["publicKeyMultibase"]
    return f"did:key:{name}#{name}"


# ---- RFC 8785


@pytest.mark.parametrize("name", sorted(one.stem for one in (JCS / "input").iterdir()))
def test_published_canonical_json(name: str) -> None:
    """Our signatures over JSON would verify nowhere else, and no other's here."""
    value = json.loads((JCS / "input" / f"{name}.json").read_text())
    hexadecimal = (JCS / "outhex" / f"{name}.txt").read_text()
    assert bytes.fromhex(hexadecimal) == jcs.canonical(value)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("json.duplicate", b'{"a": 1, "a": 1}'),
        ("json.duplicate", b'{"x": {"a": 1, "\\u0061": 2}}'),
        ("json.number", b'{"a": NaN}'),
        ("json.number", b'{"a": -Infinity}'),
        ("json.number", b'{"a": 1e999}'),
        ("json.number", b'{"a": 9007199254740992}'),
        ("json.number", b'{"a": -9007199254740992}'),
        ("json.number", b'{"a": ' + b"9" * 5000 + b"}"),
        ("json.canonical", b'{"a": "\\ud800"}'),
        ("json.canonical", b'{"\\udfff": 1}'),
        ("json.malformed", b'{"a": "\xff"}'),
        ("json.malformed", b'\xef\xbb\xbf{"a": 1}'),
        ("json.malformed", b'{"a": 1} {}'),
        ("json.malformed", b"[1]"),
        ("json.malformed", b""),
        ("json.too-deep", b'{"a":' * 50_000),
        ("json.too-deep", b'{"a":' * 17 + b"1" + b"}" * 17),
        ("json.too-long", b'{"a": "' + b"x" * 2**18 + b'"}'),
    ],
)
def test_json_that_others_could_read_otherwise(code: str, text: bytes) -> None:
    """A document would mean one thing to us and another to the next reader, or take all memory."""
    with pytest.raises(TallystickError) as refused:
        jcs.parse(text)
    assert code == refused.value.code


def test_json_at_the_limit() -> None:
    """What the rules allow would be refused."""
    assert {"a": 2**53 - 1, "b": 1.5} == jcs.parse(b'{"a": 9007199254740991, "b": 1.5}')
    assert jcs.parse(b'{"a":' * 16 + b"1" + b"}" * 16)


# ---- eddsa-jcs-2022


def test_the_published_hashes() -> None:
    """Another implementation would find our signatures wrong."""
    unsigned = jcs.parse((W3C / "unsigned.json").read_bytes())
    config = jcs.parse(w3c("proofConfigJCS.json").encode())
    assert w3c("canonDocJCS.txt").encode() == jcs.canonical(unsigned)
    assert w3c("proofCanonJCS.txt").encode() == jcs.canonical(config)
    combined = data_integrity.hash_data(unsigned, config)
    assert w3c("combinedHashJCS.txt") == combined.hex()
    assert w3c("proofHashJCS.txt") + w3c("docHashJCS.txt") == combined.hex()
    assert w3c("sigHexJCS.txt") == w3c_key().sign(combined).hex()


def test_the_published_document() -> None:
    """The whole, from the unsigned document to the signed one, byte for byte in canonical form."""
    created = timestamp.seconds("2023-02-24T23:36:38Z")
    unsigned = jcs.parse((W3C / "unsigned.json").read_bytes())
    signed = data_integrity.sign(w3c_key(), unsigned, method=w3c_method(), created=created)
    published = jcs.parse(w3c("signedJCS.json").encode())
    assert jcs.canonical(published) == jcs.canonical(signed)
    assert w3c("sigBTC58JCS.txt") == signed["proof"]["proofValue"]
    data_integrity.verify(published, w3c_key().public)


def test_a_published_document_of_another_key() -> None:
    """A document would verify under any key."""
    published = jcs.parse(w3c("signedJCS.json").encode())
    with pytest.raises(SignatureError):
        data_integrity.verify(published, key("stranger").public)


def signed_w3c(change: Callable[[Any], None]) -> Any:
    found = jcs.parse(w3c("signedJCS.json").encode())
    change(found)
    return found


def change_at(*path: str | int, value: Any) -> Callable[[Any], None]:
    def change(found: Any) -> None:
        for step in path[:-1]:
            found = found[step]
        found[path[-1]] = value

    return change


def drop(*path: str) -> Callable[[Any], None]:
    def change(found: Any) -> None:
        for step in path[:-1]:
            found = found[step]
        del found[path[-1]]

    return change


def same_signature_other_spelling(found: Any) -> None:
    found["proof"]["proofValue"] = "z1" + found["proof"]["proofValue"][1:]


V2 = "https://www.w3.org/ns/credentials/v2"
EXAMPLES = "https://www.w3.org/ns/credentials/examples/v2"
OTHER_VALUE = "z" + base58.b58encode(bytes(range(1, 65))).decode()
CHANGES: list[tuple[str, Callable[[Any], None]]] = [
    ("signature.wrong", change_at("name", value="Another")),
    ("signature.wrong", change_at("credentialSubject", "id", value="did:example:thief")),
    ("signature.wrong", change_at("extra", value=1)),
    ("signature.wrong", drop("description")),
    # proof options swapped
    ("signature.wrong", change_at("proof", "created", value="2023-02-24T23:36:39Z")),
    ("signature.wrong", change_at("proof", "verificationMethod", value=f"{ISSUER}#k")),
    ("vc.proof", change_at("proof", "proofPurpose", value="authentication")),
    ("vc.proof", change_at("proof", "cryptosuite", value="eddsa-rdfc-2022")),
    ("vc.proof", change_at("proof", "type", value="Ed25519Signature2020")),
    ("vc.proof", change_at("proof", "domain", value="example.org")),
    ("vc.proof", change_at("proof", "previousProof", value="urn:x")),
    ("field.time", change_at("proof", "created", value="yesterday")),
    # the context
    ("vc.context", change_at("@context", value=[EXAMPLES, V2])),
    ("vc.context", change_at("@context", value=[V2])),
    ("vc.context", change_at("@context", value=V2)),
    ("vc.context", drop("@context")),
    ("signature.wrong", drop("proof", "@context")),
    ("signature.wrong", change_at("proof", "@context", value=[V2])),
    ("vc.context", change_at("proof", "@context", value=[EXAMPLES])),
    # the proof's value
    ("signature.wrong", change_at("proof", "proofValue", value=OTHER_VALUE)),
    ("vc.proof", same_signature_other_spelling),
    ("vc.proof", change_at("proof", "proofValue", value="u" + "A" * 86)),
    ("vc.proof", change_at("proof", "proofValue", value="")),
    ("vc.proof", drop("proof", "proofValue")),
    # no proof, or another than one
    ("vc.proof", drop("proof")),
    ("vc.proof", change_at("proof", value=[])),
    ("vc.proof", change_at("proof", value=[{}, {}])),
    ("vc.proof", change_at("proof", value=None)),
]


@pytest.mark.parametrize(("code", "change"), CHANGES)
def test_a_changed_document(code: str, change: Callable[[Any], None]) -> None:
    """Somebody could change what was signed, or what it was signed for."""
    changed = signed_w3c(change)
    with pytest.raises(TallystickError) as refused:
        data_integrity.verify(changed, w3c_key().public)
    assert code == refused.value.code


def test_every_bit_of_a_signature_counts() -> None:
    """A second valid signature could be made from the first."""
    published = jcs.parse(w3c("signedJCS.json").encode())
    raw = base58.b58decode(published["proof"]["proofValue"][1:])
    for place in range(0, 512, 37):
        bent = bytearray(raw)
        bent[place // 8] ^= 1 << place % 8
        published["proof"]["proofValue"] = "z" + base58.b58encode(bytes(bent)).decode()
        with pytest.raises(SignatureError):
            data_integrity.verify(published, w3c_key().public)


def test_a_p256_key_signs_no_such_proof() -> None:
    """A proof would bear a signature that its suite does not have."""
    with pytest.raises(TallystickError) as refused:
        data_integrity.sign(SimKey("sim"), {}, method="did:key:z#z", created=START)
    assert "key.algorithm" == refused.value.code


# ---- a device's credential


def held(**changes: Any) -> credential.Credential:
    said: dict[str, Any] = {"expires": START + 10**8, **changes}
    return credential.parse(credential.sign(key("issuer"), ISSUER, DEVICE, START, **said))


def issued(**changes: Any) -> Any:
    status = vc.entries("https://example.org/sensors", StatusReference(3, 131_071))
    unsigned = vc.document(held(**changes), status=status)
    method = did_document.method_id(ISSUER, key("issuer").public)
    return data_integrity.sign(key("issuer"), unsigned, method=method, created=START)


@pytest.mark.parametrize("role", [None, "inspector"])
@pytest.mark.parametrize("inner", [None, key("second").public, SimKey("sim").public])
def test_the_same_facts_in_both_forms(role: str | None, inner: PublicKey | None) -> None:
    """Whoever reads the JSON would learn something else than whoever reads the CWT."""
    given = jcs.parse(jcs.canonical(issued(role=role, key=inner)))
    read, short = vc.parse(given), held(role=role, key=inner)
    assert (short.issuer, short.subject, short.not_before, short.expires) == (
        read.issuer,
        read.subject,
        read.not_before,
        read.expires,
    )
    assert (short.key, short.role) == (read.key, read.role)
    assert [(one.purpose, one.index) for one in read.status] == [
        ("suspension", 131_071),
        ("revocation", 131_071),
    ]
    assert key("issuer").public == vc.verify(given, [key("issuer").public])
    assert read.valid_at(START)
    assert not read.valid_at(START + 10**8)


def test_a_credential_without_an_end() -> None:
    """A credential that never ends would be shown with an end."""
    assert vc.parse(vc.document(held(expires=None))).expires is None


def test_an_issuer_that_is_not_trusted() -> None:
    """Anyone could issue credentials."""
    with pytest.raises(KeyUnknownError) as refused:
        vc.verify(issued(), [key("another").public])
    assert "vc.issuer" == refused.value.code


def test_a_strangers_signature_in_the_issuers_name() -> None:
    """Anyone could issue credentials in a trusted issuer's name."""
    stranger = key("stranger")
    own = did.did_key(stranger.public)
    unsigned = vc.document(held())
    for method in (
        did_document.method_id(own, stranger.public),
        did_document.method_id(ISSUER, stranger.public),
        did_document.method_id(ISSUER, key("issuer").public),
    ):
        forged = data_integrity.sign(stranger, unsigned, method=method, created=START)
        with pytest.raises(SignatureError):
            vc.verify(forged, [key("issuer").public])


SHAPES: list[tuple[str, Callable[[Any], None]]] = [
    ("vc.context", change_at("@context", value=[V2])),
    ("vc.context", change_at("@context", 1, "role", value="https://evil.example/role")),
    ("vc.shape", change_at("type", value=["VerifiableCredential"])),
    ("vc.shape", change_at("termsOfUse", value=[])),
    ("vc.shape", drop("validFrom")),
    ("vc.shape", change_at("credentialSubject", value=[])),
    ("vc.shape", change_at("credentialSubject", "name", value="x")),
    ("field.time", change_at("validUntil", value=None)),
    ("field.time", change_at("validFrom", value="2026-02-30T00:00:00Z")),
    ("field.time", change_at("validFrom", value="2026-02-03T24:00:00Z")),
    ("credential.did", change_at("issuer", value={"id": ISSUER})),
    ("credential.did", change_at("issuer", value="https://example.org")),
    ("credential.did", change_at("issuer", value="did:web:example.org\n")),
    ("did.method", change_at("credentialSubject", "id", value="did:web:example.org")),
    ("credential.role", change_at("credentialSubject", "role", value="king")),
    ("vc.status", change_at("credentialStatus", value=[])),
    ("vc.status", change_at("credentialStatus", 0, "statusPurpose", value="revocation")),
    ("vc.status", change_at("credentialStatus", 0, "statusPurpose", value="message")),
    ("vc.status", change_at("credentialStatus", 0, "type", value="StatusList2021Entry")),
    ("vc.status", change_at("credentialStatus", 0, "statusSize", value=2)),
    ("status.index", change_at("credentialStatus", 0, "statusListIndex", value=7)),
    ("status.index", change_at("credentialStatus", 0, "statusListIndex", value="07")),
    ("status.index", change_at("credentialStatus", 0, "statusListIndex", value="-1")),
    ("status.index", change_at("credentialStatus", 0, "statusListIndex", value="1048576")),
    ("vc.status", change_at("credentialStatus", 0, "statusListCredential", value="a b\n")),
]


@pytest.mark.parametrize(("code", "change"), SHAPES)
def test_a_credential_in_another_form(code: str, change: Callable[[Any], None]) -> None:
    """A reader would have to guess what the credential says."""
    given = copy.deepcopy(issued())
    change(given)
    with pytest.raises(TallystickError) as refused:
        vc.parse(given)
    assert code == refused.value.code


# ---- did:web


def site_credential() -> Any:
    unsigned = vc.document(held(), issuer=SITE)
    method = did_document.method_id(SITE, key("issuer").public)
    return data_integrity.sign(key("issuer"), unsigned, method=method, created=START)


def site_document(change: Callable[[Any], None] = lambda _: None) -> did_document.DidDocument:
    made = did_document.document(SITE, key("issuer").public)
    change(made)
    return did_document.parse(jcs.canonical(made))


def test_a_web_issuer_needs_its_document_and_the_policys_trust() -> None:
    """A web site's name alone would make a credential, or a document would give trust."""
    issuer = key("issuer").public
    assert issuer == vc.verify(site_credential(), [issuer], [site_document()])
    with pytest.raises(KeyUnknownError) as refused:
        vc.verify(site_credential(), [issuer])
    assert "vc.did-document" == refused.value.code
    with pytest.raises(KeyUnknownError) as refused:
        vc.verify(site_credential(), [key("another").public], [site_document()])
    assert "vc.issuer" == refused.value.code


DOCUMENTS: list[tuple[str, Callable[[Any], None]]] = [
    ("vc.did-document", change_at("id", value="did:web:example.com")),
    ("vc.method", change_at("assertionMethod", value=[])),
    ("vc.method", change_at("verificationMethod", 0, "controller", value="did:web:example.com")),
    ("vc.method", change_at("verificationMethod", 0, "type", value="JsonWebKey")),
    ("vc.method", change_at("verificationMethod", 0, "id", value=f"{SITE}#other")),
]


@pytest.mark.parametrize(("code", "change"), DOCUMENTS)
def test_a_web_issuers_document_that_does_not_name_the_key(
    code: str, change: Callable[[Any], None]
) -> None:
    """A key that the site does not put forward for this could sign in its name."""
    with pytest.raises(TallystickError) as refused:
        vc.verify(site_credential(), [key("issuer").public], [site_document(change)])
    assert code == refused.value.code


def test_a_relative_method_and_an_embedded_one() -> None:
    """A document as other programs write it could not be used."""

    def relative(made: Any) -> None:
        fragment = "#" + made["assertionMethod"][0].partition("#")[2]
        made["assertionMethod"][0] = made["verificationMethod"][0]["id"] = fragment

    def embedded(made: Any) -> None:
        made["assertionMethod"] = made.pop("verificationMethod")

    for change in (relative, embedded):
        assert list(site_document().keys) == list(site_document(change).keys)


def test_a_key_that_verifies_anything_is_refused_in_a_document() -> None:
    """A did:web with a low-order key would sign every document."""
    low = "z" + base58.b58encode(b"\xed\x01\x01" + bytes(31)).decode()
    with pytest.raises(TallystickError) as refused:
        site_document(change_at("verificationMethod", 0, "publicKeyMultibase", value=low))
    assert "key.low-order" == refused.value.code


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("did:web:example.org", "https://example.org/.well-known/did.json"),
        ("did:web:example.org:a:b", "https://example.org/a/b/did.json"),
        ("did:web:example.org%3A8443:a", "https://example.org:8443/a/did.json"),
    ],
)
def test_where_a_document_is_hosted(name: str, address: str) -> None:
    """The document would be put where nobody looks for it."""
    assert address == did_document.web_address(name)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "did:web:",
            "did:web:10.0.0.1",
            "did:web:EXAMPLE.org",
            "did:web:example.org:",
            "did:key:z",
        ),
        *(
            "did:web:example.org:..:x",
            "did:web:example.org/x",
            "did:web:exa mple",
            "did:web:-a.org",
        ),
        *("did:web:user@example.org", "did:web:example.org%2Fx", "did:web:" + "a." * 80 + "org"),
    ],
)
def test_what_is_no_did_web(name: str) -> None:
    """A name could lead out of its folder, or to another host than it shows."""
    with pytest.raises(FormatError) as refused:
        did_document.web_address(name)
    assert "did.web" == refused.value.code


def test_a_document_of_a_p256_key() -> None:
    """A key of a SIM could not be named."""
    made = did_document.document(SITE, SimKey("sim").public)
    assert ESP256 == next(iter(did_document.parse(jcs.canonical(made)).keys.values())).alg


def test_a_document_that_is_too_long() -> None:
    """A stranger's document would take all memory."""
    with pytest.raises(LimitError):
        did_document.parse(b" " * 70_000)


def test_moments_in_their_spellings() -> None:
    """A credential's validity would shift with the spelling of its time."""
    assert "2027-01-15T08:00:00Z" == timestamp.text(START)
    for spelt in ("2027-01-15T08:00:00.999Z", "2027-01-15T09:30:00+01:30"):
        assert START == timestamp.seconds(spelt)
    assert 951_782_400 == timestamp.seconds("2000-02-29T00:00:00Z")
    for wrong in ("2100-02-29T00:00:00Z", "2027-01-15 08:00:00Z", "1969-12-31T23:59:59Z", 5, None):
        with pytest.raises(FormatError):
            timestamp.seconds(wrong)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.just(DEVICE),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_value_anywhere(data: st.DataObject) -> None:
    """A stranger's document would end the program with an error that is not ours."""
    made = issued()
    readers: list[tuple[Any, Callable[[Any], object]]] = [
        (made, vc.parse),
        (made, lambda one: vc.verify(one, [key("issuer").public])),
        (status_list.document(status_list.StatusList(), LIST, ISSUER, START), status_list.parse),
        (
            did_document.document(SITE, key("issuer").public),
            lambda one: did_document.parse(json.dumps(one).encode()),
        ),
    ]
    whole, read = data.draw(st.sampled_from(readers))
    changed = copy.deepcopy(whole)
    place = changed
    while True:
        step = data.draw(
            st.sampled_from(list(place if isinstance(place, dict) else range(len(place))))
        )
        if isinstance(place[step], dict | list) and place[step] and data.draw(st.booleans()):
            place = place[step]
            continue
        place[step] = data.draw(JSON)
        break
    with contextlib.suppress(TallystickError):
        read(changed)


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=200)
    | st.text(max_size=100).map(lambda text: text.encode("utf-8", "replace"))
)
def test_any_bytes(data: bytes) -> None:
    """Any file that is handed in would end the program with an error that is not ours."""
    for read in (jcs.parse, did_document.parse):
        with contextlib.suppress(TallystickError):
            read(data)
