/* Forms in pages, and the token that they need. */
#ifndef CLI_FORMS_H
#define CLI_FORMS_H

#include "source.h"

/* Warns of forms that form_open would refuse whoever sends them. */
void forms_check(const struct app_folder *app, struct report *r);

#endif
