#pragma once

/* A scanner for the XML that S3 answers with. Tolerant of what different stores write (prefixes,
 * attributes, unknown elements), strict about limits; document types are refused. Pure, any thread.
 */

#include "base/buf.h"

#define XML_DEPTH_MAX 16

enum xml_event {
	XML_OPEN,  /* name */
	XML_TEXT,  /* text: a piece of an element's text, entities decoded */
	XML_CLOSE, /* name */
	XML_END,   /* of the document, whole and closed */
	XML_BROKEN,
};

struct xml {
	struct slice rest;
	struct arena *arena; /* decoded text is put here */
	size_t depth;        /* elements open */
	struct slice open[XML_DEPTH_MAX];
	bool is_started;   /* the root has been opened */
	bool is_closing;   /* a self-closing element is to be closed */
	struct slice name; /* without its prefix; borrows from the document */
	struct slice text;
};

void xml_init(struct xml *xml, struct arena *arena, struct slice document);

/* After XML_END or XML_BROKEN nothing follows. */
enum xml_event xml_next(struct xml *xml);

/* Text as it stands in a document. */
void xml_escape(struct buf *out, struct slice text);
