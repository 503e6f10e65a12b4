package main

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-sasl"
)

const plain = "From: Ann <ann@example.net>\r\nTo: bob@example.net\r\nDate: Fri, 20 Nov 2026 10:00:00 +0000\r\n" +
	"Subject: =?utf-8?Q?=C3=84pfel?=\r\nMessage-ID: <one@example.net>\r\n\r\nHello\r\n"

const answer = "From: bob@example.net\r\nTo: ann@example.net\r\nDate: Fri, 20 Nov 2026 11:00:00 +0000\r\n" +
	"Subject: Re: =?utf-8?Q?=C3=84pfel?=\r\nMessage-ID: <two@example.net>\r\nIn-Reply-To: <one@example.net>\r\n\r\nYes\r\n"

const parts = "From: cat@example.net\r\nDate: Fri, 20 Nov 2026 09:00:00 +0000\r\nSubject: Parts\r\nMIME-Version: 1.0\r\n" +
	"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n" +
	"Content-Transfer-Encoding: base64\r\n\r\nSMOkbGxvCg==\r\n--b\r\nContent-Type: application/octet-stream\r\n" +
	"Content-Disposition: attachment; filename=\"data.bin\"\r\n\r\n0123456789\r\n--b--\r\n"

func version2(use settings) {
	news := make(chan uint32, 100)
	options := imapclient.Options{TLSConfig: use.tls, UnilateralDataHandler: &imapclient.UnilateralDataHandler{
		Mailbox: func(data *imapclient.UnilateralDataMailbox) {
			if data.NumMessages != nil {
				news <- *data.NumMessages
			}
		},
	}}
	c := must(imapclient.DialTLS(use.address, &options))
	defer c.Close()
	done(c.WaitGreeting())
	done(c.Authenticate(sasl.NewPlainClient("", use.user, use.password)))
	session(c)
	mailboxes(c)
	appended(c)
	fetched(c)
	searched(c)
	stored(c)
	copied(c)
	shared(c, use)
	idle(c, use, news)
	done(c.Unauthenticate().Wait())
	done(c.Login(use.user, use.password).Wait())
	done(c.Logout().Wait())
}

func session(c *imapclient.Client) {
	caps := c.Caps()
	for _, one := range []imap.Cap{imap.CapIMAP4rev1, imap.CapIMAP4rev2, imap.CapIdle, imap.CapUIDPlus, imap.CapMove,
		imap.CapESearch, imap.CapCondStore, imap.CapQResync, imap.CapSpecialUse, imap.CapBinary, imap.CapUTF8Accept,
		imap.CapQuota, imap.CapACL, imap.CapMetadata, imap.CapSort, imap.CapUnauthenticate} {
		check(caps.Has(one), "%s is offered", one)
	}
	must(c.Capability().Wait())
	done(c.Noop().Wait())
	check(must(c.ID(&imap.IDData{Name: "go-imap"}).Wait()).Name == "Holdfast", "its name")
	equal(must(c.Namespace().Wait()).Personal, []imap.NamespaceDescriptor{{Prefix: "", Delim: '/'}})
	check(must(c.Enable(imap.CapIMAP4rev2, imap.CapUTF8Accept).Wait()).Caps.Has(imap.CapIMAP4rev2), "rev2 is enabled")
}

func names(c *imapclient.Client, pattern string, options *imap.ListOptions) []string {
	var found []string
	for _, one := range must(c.List("", pattern, options).Collect()) {
		found = append(found, one.Mailbox)
	}
	slices.Sort(found)
	return found
}

func mailboxes(c *imapclient.Client) {
	equal(names(c, "*", nil), []string{"Archive", "Drafts", "INBOX", "Junk", "Sent", "Trash"})
	for _, one := range must(c.List("", "Trash", &imap.ListOptions{ReturnSpecialUse: true, ReturnSubscribed: true}).Collect()) {
		check(slices.Contains(one.Attrs, imap.MailboxAttrTrash), "\\Trash is told: %v", one.Attrs)
		check(slices.Contains(one.Attrs, imap.MailboxAttrSubscribed), "\\Subscribed is told: %v", one.Attrs)
	}
	done(c.Create("Reisen & Spaß/Süden", nil).Wait())
	refused(c.Create("Mine", &imap.CreateOptions{SpecialUse: []imap.MailboxAttr{imap.MailboxAttrImportant}}).Wait(), "USEATTR")
	equal(names(c, "Reisen*", nil), []string{"Reisen & Spaß", "Reisen & Spaß/Süden"})
	equal(names(c, "Reisen%", nil), []string{"Reisen & Spaß"})
	equal(names(c, "*", &imap.ListOptions{SelectSpecialUse: true}), []string{"Archive", "Drafts", "Junk", "Sent", "Trash"})
	done(c.Rename("Reisen & Spaß", "Ausflüge", nil).Wait())
	equal(names(c, "Ausfl*", nil), []string{"Ausflüge", "Ausflüge/Süden"})
	done(c.Subscribe("Ausflüge/Süden").Wait())
	check(slices.Contains(names(c, "*", &imap.ListOptions{SelectSubscribed: true}), "Ausflüge/Süden"), "it is subscribed")
	done(c.Unsubscribe("Ausflüge/Süden").Wait())
	check(!slices.Contains(names(c, "*", &imap.ListOptions{SelectSubscribed: true}), "Ausflüge/Süden"), "it is not any more")
	done(c.Delete("Ausflüge/Süden").Wait())
	done(c.Delete("Ausflüge").Wait())
	equal(names(c, "*", nil), []string{"Archive", "Drafts", "INBOX", "Junk", "Sent", "Trash"})
	refused(c.Delete("INBOX").Wait(), "")
	refused(c.Create("Trash", nil).Wait(), imap.ResponseCodeAlreadyExists)
	_, err := c.Select("Nowhere", nil).Wait()
	refused(err, imap.ResponseCodeNonExistent)
}

func refused(err error, code imap.ResponseCode) {
	var said *imap.Error
	check(errors.As(err, &said) && said.Type == imap.StatusResponseTypeNo, "NO, and not %v", err)
	check(code == "" || said.Code == code, "NO [%s], and not %v", code, err)
}

func put(c *imapclient.Client, mailbox, content string, options *imap.AppendOptions) *imap.AppendData {
	command := c.Append(mailbox, int64(len(content)), options)
	must(command.Write([]byte(content)))
	done(command.Close())
	return must(command.Wait())
}

var came = time.Date(2026, 11, 20, 12, 30, 0, 0, time.UTC)

func appended(c *imapclient.Client) {
	first := put(c, "INBOX", plain, &imap.AppendOptions{Flags: []imap.Flag{imap.FlagFlagged, "work"}, Time: came})
	equal(first.UID, imap.UID(1))
	put(c, "INBOX", answer, nil)
	put(c, "INBOX", parts, &imap.AppendOptions{Flags: []imap.Flag{imap.FlagSeen}})
	status := must(c.Status("INBOX", &imap.StatusOptions{NumMessages: true, NumUnseen: true, NumDeleted: true, Size: true,
		UIDNext: true, UIDValidity: true, HighestModSeq: true}).Wait())
	equal([]any{*status.NumMessages, *status.NumUnseen, *status.NumDeleted, *status.Size, status.UIDNext, status.UIDValidity},
		[]any{uint32(3), uint32(2), uint32(0), int64(len(plain) + len(answer) + len(parts)), imap.UID(4), first.UIDValidity})
	selected := must(c.Select("INBOX", &imap.SelectOptions{CondStore: true}).Wait())
	equal([]any{selected.NumMessages, selected.UIDNext, selected.UIDValidity, selected.HighestModSeq},
		[]any{uint32(3), imap.UID(4), first.UIDValidity, status.HighestModSeq})
	check(slices.Contains(selected.PermanentFlags, imap.FlagWildcard), "flags may be made")
}

func one(c *imapclient.Client, set imap.NumSet, options *imap.FetchOptions) *imapclient.FetchMessageBuffer {
	all := must(c.Fetch(set, options).Collect())
	check(len(all) == 1, "one message, and not %d", len(all))
	return all[0]
}

func fetched(c *imapclient.Client) {
	m := one(c, imap.SeqSetNum(1), &imap.FetchOptions{Envelope: true, Flags: true, InternalDate: true, RFC822Size: true, UID: true,
		ModSeq: true, BodySection: []*imap.FetchItemBodySection{{Peek: true}}})
	check(m.InternalDate.Equal(came), "its date, and not %v", m.InternalDate)
	equal([]any{m.RFC822Size, m.UID, string(m.BodySection[0].Bytes)}, []any{int64(len(plain)), imap.UID(1), plain})
	equal([]any{m.Envelope.Subject, m.Envelope.MessageID, m.Envelope.From[0].Name, m.Envelope.To[0].Addr()},
		[]any{"Äpfel", "one@example.net", "Ann", "bob@example.net"})
	slices.Sort(m.Flags)
	equal(m.Flags, []imap.Flag{imap.FlagFlagged, "work"})

	m = one(c, imap.UIDSetNum(3), &imap.FetchOptions{
		BodyStructure: &imap.FetchItemBodyStructure{Extended: true},
		BodySection: []*imap.FetchItemBodySection{
			{Peek: true, Part: []int{2}, Partial: &imap.SectionPartial{Offset: 3, Size: 4}},
			{Peek: true, Specifier: imap.PartSpecifierHeader, HeaderFields: []string{"Subject"}},
			{Peek: true, Part: []int{1}, Specifier: imap.PartSpecifierMIME}},
		BinarySection:     []*imap.FetchItemBinarySection{{Peek: true, Part: []int{1}}},
		BinarySectionSize: []*imap.FetchItemBinarySectionSize{{Part: []int{1}}}})
	equal(m.BodyStructure.MediaType(), "multipart/mixed")
	file := m.BodyStructure.(*imap.BodyStructureMultiPart).Children[1].(*imap.BodyStructureSinglePart)
	equal([]any{file.MediaType(), file.Filename(), file.Size}, []any{"application/octet-stream", "data.bin", uint32(10)})
	equal(string(m.BodySection[0].Bytes), "3456")
	equal(string(m.BodySection[1].Bytes), "Subject: Parts\r\n\r\n")
	check(strings.Contains(string(m.BodySection[2].Bytes), "base64"), "the part's header")
	equal(string(m.BinarySection[0].Bytes), "Hällo\n")
	equal(m.BinarySectionSize[0].Size, uint32(7))
}

func searched(c *imapclient.Client) {
	find := func(criteria *imap.SearchCriteria) []uint32 {
		return must(c.Search(criteria, nil).Wait()).AllSeqNums()
	}
	equal(find(&imap.SearchCriteria{Body: []string{"hällo"}}), []uint32{3})
	equal(find(&imap.SearchCriteria{Header: []imap.SearchCriteriaHeaderField{{Key: "Subject", Value: "ÄPFEL"}}}), []uint32{1, 2})
	equal(find(&imap.SearchCriteria{NotFlag: []imap.Flag{imap.FlagSeen}, Flag: []imap.Flag{"work"}}), []uint32{1})
	equal(find(&imap.SearchCriteria{Or: [][2]imap.SearchCriteria{{{Larger: 300}, {Text: []string{"ann@"}}}}}), []uint32{1, 2, 3})
	equal(find(&imap.SearchCriteria{Before: came.AddDate(0, 0, 1)}), []uint32{1})
	equal(find(&imap.SearchCriteria{Not: []imap.SearchCriteria{{SentSince: came}}}), []uint32(nil))
	result := must(c.UIDSearch(&imap.SearchCriteria{}, &imap.SearchOptions{ReturnMin: true, ReturnMax: true, ReturnCount: true}).Wait())
	equal([]any{result.Min, result.Max, result.Count}, []any{uint32(1), uint32(3), uint32(3)})
	sorted := must(c.UIDSort(&imapclient.SortOptions{SearchCriteria: &imap.SearchCriteria{},
		SortCriteria: []imapclient.SortCriterion{{Key: imapclient.SortKeyDate, Reverse: true}}}).Wait())
	equal(sorted, []uint32{2, 1, 3})
	threads := must(c.UIDThread(&imapclient.ThreadOptions{Algorithm: imap.ThreadReferences, SearchCriteria: &imap.SearchCriteria{}}).Wait())
	equal(threads, []imapclient.ThreadData{{Chain: []uint32{3}}, {Chain: []uint32{1, 2}}})
}

func stored(c *imapclient.Client) {
	set := func(numbers imap.NumSet, op imap.StoreFlagsOp, options *imap.StoreOptions, flags ...imap.Flag) []*imapclient.FetchMessageBuffer {
		return must(c.Store(numbers, &imap.StoreFlags{Op: op, Flags: flags}, options).Collect())
	}
	changed := set(imap.UIDSetNum(2), imap.StoreFlagsAdd, nil, imap.FlagAnswered, imap.FlagSeen)
	slices.Sort(changed[0].Flags)
	equal(changed[0].Flags, []imap.Flag{imap.FlagAnswered, imap.FlagSeen})
	equal(set(imap.UIDSetNum(2), imap.StoreFlagsDel, nil, imap.FlagSeen)[0].Flags, []imap.Flag{imap.FlagAnswered})
	equal(set(imap.SeqSetNum(2), imap.StoreFlagsSet, nil, "later")[0].Flags, []imap.Flag{"later"})
	before := one(c, imap.UIDSetNum(2), &imap.FetchOptions{ModSeq: true}).ModSeq
	set(imap.UIDSetNum(2), imap.StoreFlagsAdd, &imap.StoreOptions{UnchangedSince: before}, imap.FlagFlagged)
	after := must(c.Fetch(imap.UIDSetNum(1, 2, 3), &imap.FetchOptions{Flags: true, UID: true, ModSeq: true, ChangedSince: before}).Collect())
	check(len(after) == 1 && after[0].UID == 2 && after[0].ModSeq > before, "what has changed: %v", after)
	// It has changed since.
	set(imap.UIDSetNum(2), imap.StoreFlagsAdd, &imap.StoreOptions{UnchangedSince: before}, imap.FlagDraft)
	check(!slices.Contains(one(c, imap.UIDSetNum(2), &imap.FetchOptions{Flags: true}).Flags, imap.FlagDraft), "it is left alone")
}

func copied(c *imapclient.Client) {
	copied := must(c.Copy(imap.UIDSetNum(1, 2), "Archive").Wait())
	equal([]any{copied.SourceUIDs.String(), copied.DestUIDs.String()}, []any{"1:2", "1:2"})
	moved := must(c.Move(imap.UIDSetNum(3), "Archive").Wait())
	equal([]any{moved.SourceUIDs.(imap.UIDSet).String(), moved.DestUIDs.(imap.UIDSet).String()}, []any{"3", "3"})
	done(c.Store(imap.SeqSetNum(1, 2), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Close())
	equal(must(c.UIDExpunge(imap.UIDSetNum(2)).Collect()), []uint32{2})
	equal(must(c.Expunge().Collect()), []uint32{1})
	equal(must(c.Select("Archive", &imap.SelectOptions{ReadOnly: true}).Wait()).NumMessages, uint32(3))
	content := one(c, imap.SeqSetNum(3), &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{{}}}).BodySection[0].Bytes
	check(bytes.Equal(content, []byte(parts)), "the bytes that were appended")
	done(c.Unselect().Wait())
	must(c.Select("Archive", nil).Wait())
	done(c.UnselectAndExpunge().Wait())
}

func shared(c *imapclient.Client, use settings) {
	roots := must(c.GetQuotaRoot("INBOX").Wait())
	check(len(roots) == 1 && roots[0].Resources[imap.QuotaResourceMessage].Usage == 3, "three messages: %v", roots)
	equal(must(c.GetQuota(roots[0].Root).Wait()).Resources[imap.QuotaResourceMessage].Usage, int64(3))
	comment := []byte("of us all")
	done(c.SetMetadata("Archive", map[string]*[]byte{"/private/comment": &comment}).Wait())
	data := must(c.GetMetadata("Archive", []string{"/private/comment"}, nil).Wait())
	equal(string(*data.Entries["/private/comment"]), "of us all")
	done(c.SetMetadata("Archive", map[string]*[]byte{"/private/comment": nil}).Wait())
	done(c.SetACL("Archive", imap.RightsIdentifier(use.other), imap.RightModificationReplace, imap.RightSet("lr")).Wait())
	given := must(c.GetACL("Archive").Wait()).Rights[imap.RightsIdentifier(use.other)]
	check(given.Equal(imap.RightSet("lr")), "these rights, and not %s", given)
	check(strings.Contains(must(c.MyRights("Archive").Wait()).Rights.String(), "a"), "one's own mailbox")

	other := must(imapclient.DialTLS(use.address, &imapclient.Options{TLSConfig: use.tls}))
	defer other.Close()
	done(other.Login(use.other, use.password).Wait())
	name := "Other Users/" + use.user + "/Archive"
	check(must(other.MyRights(name).Wait()).Rights.Equal(imap.RightSet("lr")), "the other's rights")
	equal(must(other.Select(name, nil).Wait()).NumMessages, uint32(3))
	refused(other.Store(imap.SeqSetNum(1), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagSeen}}, nil).Close(), imap.ResponseCodeNoPerm)
	done(other.Logout().Wait())
}

func idle(c *imapclient.Client, use settings, news chan uint32) {
	must(c.Select("Drafts", nil).Wait())
	waiting := must(c.Idle())
	other := must(imapclient.DialTLS(use.address, &imapclient.Options{TLSConfig: use.tls}))
	defer other.Close()
	done(other.Login(use.user, use.password).Wait())
	for len(news) > 0 {
		<-news
	}
	put(other, "Drafts", plain, nil)
	select {
	case count := <-news:
		equal(count, uint32(1))
	case <-time.After(time.Minute):
		check(false, "IDLE tells of a new message")
	}
	done(waiting.Close())
	done(waiting.Wait())
	done(other.Logout().Wait())
}
