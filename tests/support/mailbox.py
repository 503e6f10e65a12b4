"""An account for one test alone, and what its INBOX holds."""


class Mailbox:
    def __init__(self, server, address):
        self.server = server
        self.address = address
        server.add_user(address)

    @classmethod
    def for_test(cls, server, name):
        cls.made = getattr(cls, "made", 0) + 1
        stem = name.split("[")[0].replace("test_", "").replace("_", "-")[:50]
        return cls(server, f"{stem}.{cls.made}@example.org")

    def mails(self):
        client = self.server.pop3(self.address)
        count, _ = client.stat()
        mails = [b"\r\n".join(client.retr(number + 1)[1]) + b"\r\n" for number in range(count)]
        client.quit()
        return mails

    def count(self):
        return self.server.folders(self.address)["INBOX"]["messages"]

    def only(self):
        (mail,) = self.mails()
        return mail
