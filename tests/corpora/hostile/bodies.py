"""Bodies: transfer encodings, character sets, bytes that no text has."""

from corpora.hostile.structure import typed

BASE64 = b"Content-Transfer-Encoding: base64"
QUOTED = b"Content-Transfer-Encoding: quoted-printable"


def text(body, encoding, charset=b"utf-8"):
    return typed(b"text/plain; charset=" + charset, body, encoding)


def in_charset(charset, body):
    return typed(b"text/plain; charset=" + charset, body, b"Content-Transfer-Encoding: 8bit")


BYTES = {
    "body-empty": typed(b"text/plain", b""),
    "body-without-a-line-break": typed(b"text/plain", b"no end"),
    "body-of-one-mebibyte-line": typed(b"text/plain", b"z" * (1 << 20) + b"\r\n"),
    "body-of-nuls": typed(b"application/octet-stream", b"\0" * 5000, b"Content-Transfer-Encoding: binary"),
    "body-of-all-bytes": typed(b"application/octet-stream", bytes(range(256)) * 4, b"Content-Transfer-Encoding: binary"),
    "body-of-lone-line-feeds": typed(b"text/plain", b"a\nb\n\nc\n"),
    "body-of-lone-carriage-returns": typed(b"text/plain", b"a\rb\r\rc\r"),
    "body-of-dots": typed(b"text/plain", b".\r\n..\r\n...\r\n.a\r\n"),
    "body-that-ends-in-cr": typed(b"text/plain", b"end\r"),
    "body-of-100000-empty-lines": typed(b"text/plain", b"\r\n" * 100000),
    "body-of-raw-8-bit": typed(b"text/plain", b"\xff\xfe\x80 gr\xfcn\r\n"),
}

ENCODINGS = {
    "base64": text(b"aGFsbG8gd29ybGQ=\r\n", BASE64),
    "base64-without-padding": text(b"aGFsbG8gd29ybGQ\r\n", BASE64),
    "base64-with-rubbish": text(b"aGF#sbG8!gd2\0 9ybGQ=\r\n", BASE64),
    "base64-padded-in-the-middle": text(b"aGFsbG8=\r\naGFsbG8=\r\n", BASE64),
    "base64-cut": text(b"aGFsbG8gd", BASE64),
    "base64-in-one-line": text(b"QUJD" * 50000 + b"\r\n", BASE64),
    "base64-with-a-text-below": text(b"aGFsbG8=\r\n\r\n-- \r\nlist footer\r\n", BASE64),
    "base64-empty": text(b"", BASE64),
    "base64-of-padding": text(b"====\r\n==\r\n", BASE64),
    "base64-of-one-letter-lines": text(b"a\r\nG\r\nF\r\ns\r\nb\r\nG\r\n8\r\n=\r\n", BASE64),
    "quoted": text(b"gr=C3=BCn soft=\r\n break\r\n", QUOTED),
    "quoted-in-lower-case": text(b"gr=c3=bcn\r\n", QUOTED),
    "quoted-with-stray-signs": text(b"a=b =ZZ =\t= 1=2\r\n=", QUOTED),
    "quoted-with-trailing-space": text(b"spaces   \r\ntab\t\r\nsoft=  \r\nend\r\n", QUOTED),
    "quoted-with-raw-8-bit": text(b"raw \xc3\xbc and =C3=BC\r\n", QUOTED),
    "quoted-cut": text(b"cut=", QUOTED),
    "quoted-cut-in-an-escape": text(b"cut=C", QUOTED),
    "quoted-of-lf": text(b"soft=\nbreak\nend\n", QUOTED),
    "quoted-of-100-kib-of-spaces": text(b"x" + b" " * 100000 + b"y\r\n", QUOTED),
    "encoding-unknown": text(b"text\r\n", b"Content-Transfer-Encoding: x-rot13"),
    "encoding-of-uuencode": text(b"begin 644 a\r\n#86)C\r\n`\r\nend\r\n", b"Content-Transfer-Encoding: x-uuencode"),
    "encoding-empty": text(b"text\r\n", b"Content-Transfer-Encoding:"),
    "encoding-with-a-comment": text(b"aGFsbG8=\r\n", b"Content-Transfer-Encoding: (c) base64 (d)"),
    "encoding-given-twice": text(b"aGFsbG8=\r\n", BASE64 + b"\r\nContent-Transfer-Encoding: 7bit"),
    "encoding-with-a-parameter": text(b"aGFsbG8=\r\n", b"Content-Transfer-Encoding: base64;"),
    "encoding-in-odd-case": text(b"aGFsbG8=\r\n", b"Content-Transfer-Encoding: BaSe64"),
    "encoding-in-quotes": text(b"aGFsbG8=\r\n", b'Content-Transfer-Encoding: "base64"'),
}

CHARSETS = {
    "charset-latin-1": in_charset(b"iso-8859-1", "grün".encode("latin1")),
    "charset-windows-1252": in_charset(b"windows-1252", "‘quoted’ €".encode("cp1252")),
    "charset-koi8-r": in_charset(b"koi8-r", "привет".encode("koi8-r")),
    "charset-iso-2022-jp": in_charset(b"iso-2022-jp", "日本語".encode("iso-2022-jp")),
    "charset-shift-jis": in_charset(b"shift_jis", "日本語".encode("shift_jis")),
    "charset-euc-kr": in_charset(b"euc-kr", "안녕하세요".encode("euc-kr")),
    "charset-gb18030": in_charset(b"gb18030", "你好".encode("gb18030")),
    "charset-big5": in_charset(b"big5", "你好".encode("big5")),
    "charset-utf-16": in_charset(b"utf-16", "wide text".encode("utf-16")),
    "charset-utf-7": in_charset(b"utf-7", b"+ZeVnLIqe-"),
    "charset-unknown": in_charset(b"x-unknown", b"plain and \xfc"),
    "charset-empty": in_charset(b'""', b"plain and \xfc"),
    "charset-wrong": in_charset(b"utf-8", "grün".encode("latin1")),
    "charset-ascii-with-8-bit": in_charset(b"us-ascii", "grün".encode()),
    "charset-in-quotes": in_charset(b'"UTF-8"', "grün".encode()),
    "charset-with-a-path": in_charset(b"../../etc/passwd", b"text"),
    "charset-of-10-kib": in_charset(b"c" * 10000, b"text"),
    "html-with-a-script": typed(b"text/html", b"<style>p {}</style><script>evil()</script><p>seen &amp; read<!-- not -->"),
    "html-not-closed": typed(b"text/html", b"<p title=\"x>never closed <b>bold"),
    "html-of-100000-tags": typed(b"text/html", b"<b>" * 100000 + b"deep"),
    "zero-width-text": typed(b"text/plain; charset=utf-8", "\u200b\u200c\u2060\ufeffhidden\u00adword\r\n".encode()),
    "right-to-left": typed(b"text/plain; charset=utf-8", "\u202eexe.txt שלום\r\n".encode()),
    "case-folds": typed(b"text/plain; charset=utf-8", "STRASSE Straße ΣΊΣΥΦΟΣ İstanbul ﬁn Ångström\r\n".encode()),
    "accents-decomposed": typed(b"text/plain; charset=utf-8", "cafe\u0301 Ångstro\u0308m\r\n".encode()),
}

MESSAGES = {**BYTES, **ENCODINGS, **CHARSETS}
