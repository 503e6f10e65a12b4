"""Waiting for what comes by itself, and timing what must not take long."""

import imaplib
import smtplib
import time


def timed(work, *arguments):
    """(the answer, or the error that it was; seconds)"""
    begun = time.monotonic()
    try:
        answer = work(*arguments)
    except (smtplib.SMTPResponseException, smtplib.SMTPRecipientsRefused, imaplib.IMAP4.error) as error:
        answer = error
    return answer, time.monotonic() - begun


def until(condition, seconds=90):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def code_of(error):
    """Of a refusal by SMTP or LMTP."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return next(iter(error.recipients.values()))[0]
    return error.smtp_code
