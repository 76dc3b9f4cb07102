/* Your application. What you can call is in <ingot.h>; `ingot run` builds and boots it. */
#include <ingot.h>
#include "pages.h"   // made from pages/
#include "queries.h" // made from queries/

static void show_notes(struct request *req)
{
	struct page_value *data = page_data(req);
	form_protect(req, data);
	newest_notes_into(req, data, "notes", 50);
	reply_page(req, 200, PAGE(home), data);
}

static void write_note(struct request *req)
{
	if (!form_open(req))
		return;
	struct slice text = form_text(req, "text");
	if (text.len > 0 && text_length(text) <= 500)
		add_note(req, text);
	reply_redirect(req, "/");
}

APP_ROUTES(GET("/", show_notes), POST("/notes", write_note))
