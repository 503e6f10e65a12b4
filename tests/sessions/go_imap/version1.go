package main

import (
	"bytes"
	"io"
	"slices"
	"time"

	"github.com/emersion/go-imap"
	"github.com/emersion/go-imap/client"
)

func version1(use settings) {
	c := must(client.DialTLS(use.address, use.tls))
	done(c.Login(use.user, use.password))
	for _, name := range []string{"UIDPLUS", "MOVE", "IDLE"} {
		check(must(c.Support(name)), "%s is offered", name)
	}
	done(c.Create("Süden/Meer"))
	done(c.Subscribe("Süden/Meer"))
	listed := make(chan *imap.MailboxInfo, 100)
	done(c.List("", "S%", listed))
	equal((<-listed).Name, "Sent")
	found := <-listed
	equal(found.Name, "Süden")
	check(slices.Contains(found.Attributes, imap.HasChildrenAttr), "it has children: %v", found.Attributes)
	lsub := make(chan *imap.MailboxInfo, 100)
	done(c.Lsub("", "Süden/*", lsub))
	equal((<-lsub).Name, "Süden/Meer")
	done(c.Rename("Süden/Meer", "Süden/Ozean"))

	for _, content := range []string{plain, answer, parts} {
		done(c.Append("Süden/Ozean", []string{imap.FlaggedFlag}, came, bytes.NewReader([]byte(content))))
	}
	status := must(c.Status("Süden/Ozean", []imap.StatusItem{imap.StatusMessages, imap.StatusUnseen}))
	equal([]uint32{status.Messages, status.Unseen}, []uint32{3, 3})
	equal(must(c.Select("Süden/Ozean", false)).Messages, uint32(3))
	all := new(imap.SeqSet)
	all.AddRange(1, 0)
	section := &imap.BodySectionName{Peek: true}
	messages := make(chan *imap.Message, 10)
	done(c.Fetch(all, []imap.FetchItem{imap.FetchEnvelope, imap.FetchFlags, imap.FetchUid, imap.FetchBodyStructure, section.FetchItem()}, messages))
	m := <-messages
	equal([]any{m.Envelope.Subject, m.Envelope.Date.Equal(time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)), m.Uid}, []any{"Äpfel", true, uint32(1)})
	equal(string(must(io.ReadAll(m.GetBody(section)))), plain)

	criteria := imap.NewSearchCriteria()
	criteria.Text = []string{"hällo"}
	equal(must(c.UidSearch(criteria)), []uint32{3})
	second := new(imap.SeqSet)
	second.AddNum(2)
	done(c.UidStore(second, imap.FormatFlagsOp(imap.AddFlags, true), []any{imap.DeletedFlag}, nil))
	expunged := make(chan uint32, 10)
	done(c.Expunge(expunged))
	equal(<-expunged, uint32(2))
	done(c.Copy(second, "Trash"))
	first := new(imap.SeqSet)
	first.AddNum(1)
	done(c.UidMove(first, "Trash"))
	done(c.Noop())
	equal(must(c.Select("Süden/Ozean", true)).Messages, uint32(1))
	done(c.Close())
	equal(must(c.Status("Trash", []imap.StatusItem{imap.StatusMessages})).Messages, uint32(2))
	done(c.Delete("Süden/Ozean"))
	done(c.Delete("Süden"))
	done(c.Unsubscribe("Süden/Meer"))
	done(c.Logout())
}
