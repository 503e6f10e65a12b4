"""MIME: boundaries, nesting, parameters, and Content-Type fields that are none."""

TOP = b"From: a@example.net\r\nTo: b@example.org\r\nSubject: structure\r\nMIME-Version: 1.0\r\n"
TEXT = b"Content-Type: text/plain\r\n\r\ntext\r\n"


def typed(content_type, body, *more):
    """A mail of one Content-Type."""
    return TOP + b"".join(line + b"\r\n" for line in (b"Content-Type: " + content_type, *more)) + b"\r\n" + body


def mixed(body, boundary=b"b"):
    return typed(b"multipart/mixed; boundary=" + boundary, body)


def nested_multiparts(depth):
    body = TEXT
    for level in reversed(range(depth)):
        boundary = b"level%d." % level
        body = b"Content-Type: multipart/mixed; boundary=%s\r\n\r\n--%s\r\n%s--%s--\r\n" % (boundary, boundary, body, boundary)
    return TOP + body


def nested_messages(depth):
    body = TEXT
    for level in range(depth):
        body = b"Subject: level %d\r\nContent-Type: message/rfc822\r\n\r\n%s" % (depth - level, body)
    return b"From: a@example.net\r\n" + body


def parts(count):
    return mixed(b"".join(b"--b\r\nContent-ID: <%d>\r\n\r\n%d\r\n" % (n, n) for n in range(count)) + b"--b--\r\n")


def disposed(value, *more):
    return typed(b"text/plain", b"text\r\n", b"Content-Disposition: " + value, *more)


BOUNDARIES = {
    "parts-3": mixed(b"preamble\r\n--b\r\n\r\none\r\n--b\r\nContent-Type: text/html\r\n\r\n<b>two</b>\r\n--b\r\n\r\nthree\r\n--b--\r\nepilogue\r\n"),
    "parts-none": mixed(b""),
    "parts-closed-at-once": mixed(b"--b--\r\n"),
    "parts-1000": parts(1000),
    "parts-past-10000": parts(10050),
    "part-of-nothing": mixed(b"--b\r\n--b\r\n\r\n--b--\r\n"),
    "part-header-only": mixed(b"--b\r\nContent-Type: text/html\r\n--b\r\nContent-Type: text/plain\r\n\r\ntext\r\n--b--\r\n"),
    "part-without-its-empty-line": mixed(b"--b\r\nContent-Type: text/plain\r\ntext without a line between\r\n--b--\r\n"),
    "parts-in-one-line": mixed(b"--b--b--b--\r\n"),
    "boundary-missing": typed(b"multipart/mixed", b"--b\r\n\r\ntext\r\n--b--\r\n"),
    "boundary-empty": typed(b'multipart/mixed; boundary=""', b"--\r\n\r\ntext\r\n----\r\n"),
    "boundary-of-space": typed(b'multipart/mixed; boundary="   "', b"--   \r\n\r\ntext\r\n"),
    "boundary-never-used": mixed(b"no part begins here\r\n"),
    "boundary-never-closed": mixed(b"--b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n"),
    "boundary-closed-twice": mixed(b"--b\r\n\r\none\r\n--b--\r\n--b\r\n\r\ntwo\r\n--b--\r\n"),
    "boundary-without-its-last-line-break": mixed(b"--b\r\n\r\none\r\n--b--"),
    "boundary-with-trailing-space": mixed(b"--b  \t\r\n\r\none\r\n--b-- \r\n"),
    "boundary-with-trailing-text": mixed(b"--b\r\n\r\none\r\n--bother\r\nstill one\r\n--b--\r\n"),
    "boundary-closed-with-trailing-text": mixed(b"--b\r\n\r\none\r\n--b--more\r\n"),
    "boundary-indented": mixed(b" --b\r\n\r\none\r\n --b--\r\n"),
    "boundary-in-other-case": mixed(b"--B\r\n\r\none\r\n--B--\r\n"),
    "boundary-of-1000-bytes": mixed(b"--%s\r\n\r\none\r\n--%s--\r\n" % (b"x" * 1000, b"x" * 1000), b"x" * 1000),
    "boundary-of-100000-bytes": mixed(b"--%s\r\n\r\none\r\n--%s--\r\n" % (b"x" * 100000, b"x" * 100000), b"x" * 100000),
    "boundary-quoted-with-odd-bytes": typed(b'multipart/mixed; boundary="a b:(c)\\"d"', b'--a b:(c)"d\r\n\r\none\r\n--a b:(c)"d--\r\n'),
    "boundary-ending-in-hyphens": typed(b'multipart/mixed; boundary="b--"', b"--b--\r\n\r\none\r\n--b----\r\n"),
    "boundary-given-twice": typed(b"multipart/mixed; boundary=b; boundary=c", b"--b\r\n\r\none\r\n--b--\r\n--c\r\n\r\ntwo\r\n--c--\r\n"),
    "boundary-in-pieces": typed(b"multipart/mixed; boundary*0=ab; boundary*1=cd", b"--abcd\r\n\r\none\r\n--abcd--\r\n"),
    "boundary-in-lf-mail": b"From: a@example.net\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\n\ntwo\n--b--\n",
    "boundary-behind-a-lone-cr": mixed(b"--b\r\n\r\none\r--b\r\n\r\ntwo\r\n--b--\r\n"),
    "boundary-behind-a-nul": mixed(b"--b\r\n\r\none\r\n\0--b\r\n--b--\r\n"),
    "boundary-that-begins-another": mixed(
        b"--b\r\nContent-Type: multipart/mixed; boundary=bb\r\n\r\n--bb\r\n\r\ninner\r\n--bb--\r\n--b\r\n\r\nouter\r\n--b--\r\n"
    ),
    "boundary-that-another-begins": mixed(
        b"--bb\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ninner\r\n--b--\r\n--bb\r\n\r\nouter\r\n--bb--\r\n", b"bb"
    ),
    "boundary-of-both-levels": mixed(b"--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ninner\r\n--b--\r\n--b--\r\n"),
    "boundaries-overlapping": mixed(
        b"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--c--\r\nmore two\r\n--b--\r\n"
    ),
    "boundary-within-a-message": mixed(b"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n--b\r\n\r\nnext\r\n--b--\r\n"),
}

NESTING = {
    "multiparts-50-deep": nested_multiparts(50),
    "multiparts-200-deep": nested_multiparts(200),
    "messages-20-deep": nested_messages(20),
    "messages-100-deep": nested_messages(100),
    "message-within": typed(b"message/rfc822", b"From: c@example.net\r\nSubject: inner\r\n\r\ninner body\r\n"),
    "message-within-of-parts": typed(
        b"message/rfc822", b"Subject: inner\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n--c\r\n\r\none\r\n--c\r\n\r\ntwo\r\n--c--\r\n"
    ),
    "message-within-empty": typed(b"message/rfc822", b""),
    "message-within-in-base64": typed(b"message/rfc822", b"U3ViamVjdDogaGlkZGVuDQoNCmJvZHkNCg==\r\n", b"Content-Transfer-Encoding: base64"),
    "message-global": typed(b"message/global", "Subject: grün\r\n\r\nbody\r\n".encode()),
    "message-partial": typed(b"message/partial; id=x; number=1; total=2", b"Subject: piece\r\n\r\nbody\r\n"),
    "delivery-status": typed(
        b"multipart/report; report-type=delivery-status; boundary=b",
        b"--b\r\n\r\nnotice\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; x\r\n\r\nAction: failed\r\n\r\n--b\r\n"
        b"Content-Type: message/rfc822\r\n\r\nSubject: returned\r\n\r\nbody\r\n--b--\r\n",
    ),
    "digest": typed(b"multipart/digest; boundary=b", b"--b\r\n\r\nSubject: one\r\n\r\nbody 1\r\n--b\r\nContent-Type: text/plain\r\n\r\nplain\r\n--b--\r\n"),
    "multipart-in-base64": typed(b"multipart/mixed; boundary=b", b"--b\r\n\r\none\r\n--b--\r\n", b"Content-Transfer-Encoding: base64"),
    "encrypted": typed(b"multipart/encrypted; boundary=b", b"--b\r\n\r\nsecret\r\n--b--\r\n"),
}

TYPES = {
    "type-injection": typed(b"text/plain; charset=\"a\r\n b\"; x=\"\\\"; boundary=evil\"", b"--evil\r\n\r\nx\r\n--evil--\r\n"),
    "type-without-a-subtype": typed(b"text", b"text\r\n"),
    "type-without-a-type": typed(b"/plain", b"text\r\n"),
    "type-empty": typed(b"", b"text\r\n"),
    "type-with-two-slashes": typed(b"text/plain/html", b"text\r\n"),
    "type-with-spaces": typed(b"text / plain ; charset = utf-8", b"text\r\n"),
    "type-with-comments": typed(b"text/(c)plain (d); (e) charset=us-ascii (f)", b"text\r\n"),
    "type-unknown": typed(b"x-what/ever", b"text\r\n"),
    "type-given-twice": typed(b"text/html", b"<b>x</b>\r\n", b"Content-Type: text/plain"),
    "type-of-binary-bytes": typed(b"te\0xt/pl\xffain", b"text\r\n"),
    "type-of-100-kib": typed(b"text/" + b"p" * 100000, b"text\r\n"),
    "type-with-a-broken-parameter": typed(b"text/plain; charset; =x; a==b; ;;c=\"d", b"text\r\n"),
    "type-with-an-unquoted-value": typed(b"text/plain; name=two words (and).txt; charset=utf-8", b"text\r\n"),
    "type-with-1000-parameters": typed(b"text/plain" + b"".join(b";\r\n p%d=v" % n for n in range(1000)), b"text\r\n"),
    "type-without-a-semicolon": typed(b"text/plain charset=utf-8", b"text\r\n"),
    "type-parameters-repeated": typed(b"text/plain; name=one; name=two", b"text\r\n"),
    "mime-version-missing": b"From: a@example.net\r\nContent-Type: text/html\r\n\r\n<b>x</b>\r\n",
    "continuations-in-order": disposed(b"attachment; filename*0=\"one \"; filename*1=\"two \"; filename*2=three"),
    "continuations-out-of-order": disposed(b"attachment; filename*2=three; filename*0=\"one \"; filename*1=\"two \""),
    "continuations-with-a-gap": disposed(b"attachment; filename*0=one; filename*2=three"),
    "continuations-without-a-first": disposed(b"attachment; filename*1=one; filename*2=two"),
    "continuations-encoded": disposed(b"attachment; filename*0*=utf-8''gr%C3; filename*1*=%BCn; filename*2=\" 100%25\""),
    "continuations-encoded-out-of-order": disposed(b"attachment; filename*1*=%BCn; filename*0*=utf-8''gr%C3"),
    "continuations-10-and-more": disposed(b"attachment" + b"".join(b"; filename*%d=%d" % (n, n) for n in range(12))),
    "continuations-repeated": disposed(b"attachment; filename*0=a; filename*0=b; filename*1=c"),
    "continuations-beside-a-plain-one": disposed(b"attachment; filename=plain; filename*0=one; filename*1=two"),
    "parameter-encoded": disposed(b"attachment; filename*=utf-8'en'gr%C3%BCn"),
    "parameter-encoded-without-quotes": disposed(b"attachment; filename*=gr%C3%BCn"),
    "parameter-encoded-by-an-unknown-charset": disposed(b"attachment; filename*=x-unknown''gr%FCn"),
    "parameter-encoded-and-plain": disposed(b"attachment; filename=plain; filename*=utf-8''gr%C3%BCn"),
    "parameter-of-an-encoded-word": disposed(b'attachment; filename="=?utf-8?q?gr=C3=BCn?="'),
    "parameter-of-raw-bytes": disposed("attachment; filename=grün".encode("latin1")),
    "parameter-with-a-path": disposed(b'attachment; filename="../../etc/passwd"'),
    "parameter-with-line-breaks": disposed(b'attachment; filename*=utf-8\'\'a%0D%0Ab'),
    "disposition-unknown": disposed(b"somehow; x=y"),
    "disposition-empty": disposed(b""),
    "language-and-location": disposed(b"inline", b"Content-Language: en, de", b"Content-Location: http://x/y", b"Content-MD5: Q2hlY2s="),
}

MESSAGES = {**BOUNDARIES, **NESTING, **TYPES}
