/* The smallest site with a page, a parameter and a stylesheet. */
#include <ingot.h>
#include "pages.h"

static void home(struct request *req)
{
	struct page_value *data = page_data(req);
	page_set_text(data, "name", request_query(req, "name"));
	reply_page(req, 200, PAGE(home), data);
}

static void hello(struct request *req)
{
	reply_text(req, 200, SLICE("Hello, world!"));
}

APP_ROUTES(GET("/", home), GET("/hello", hello))
