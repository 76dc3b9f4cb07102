#include <ingot.h>
/* queries/types.sql:1 */
struct left_join_row {
	int64_t id;
	struct slice name;
	bool has_title; /* false: NULL */
	struct slice title;
	bool has_post; /* false: NULL */
	int64_t post;
	bool has_score; /* false: NULL */
	double score;
};
struct left_join {
	struct db_rows *rows;
};
struct left_join left_join(struct request *req, struct slice name);
/* queries/types.sql:3 */
struct self_row {
	struct slice name;
	struct slice other;
};
struct self {
	struct db_rows *rows;
};
struct self self(struct request *req, int64_t low, int64_t high);
/* queries/types.sql:5 */
struct agg_row {
	int64_t n;
	bool has_last; /* false: NULL */
	int64_t last;
	bool has_mean; /* false: NULL */
	double mean;
	bool has_total; /* false: NULL */
	double total;
	int64_t last0;
};
bool agg(struct request *req, int64_t author, struct agg_row *row);
/* queries/types.sql:7 */
struct grp_row {
	int64_t author;
	int64_t n;
	int64_t last;
	struct slice titles;
};
struct grp {
	struct db_rows *rows;
};
struct grp grp(struct request *req, int64_t least);
/* queries/types.sql:9 */
struct bare_row {
	bool has_id; /* false: NULL */
	int64_t id;
	int64_t n;
};
bool bare(struct request *req, struct bare_row *row);
/* queries/types.sql:11 */
struct viewed_row {
	int64_t id;
	struct slice title;
	struct slice author;
	bool has_email; /* false: NULL */
	struct slice email;
};
struct viewed {
	struct db_rows *rows;
};
struct viewed viewed(struct request *req, struct slice pattern, struct slice mail);
/* queries/types.sql:13 */
struct full_row {
	int64_t id;
	bool has_title; /* false: NULL */
	struct slice title;
	struct slice snip;
};
struct full {
	struct db_rows *rows;
};
struct full full(struct request *req, struct slice q, int64_t n, int64_t o);
/* queries/types.sql:15 */
int64_t add(struct request *req, struct slice name, struct slice email, int64_t age, double weight, struct slice photo);
/* queries/types.sql:17 */
struct upsert_row {
	int64_t id;
	struct slice nn;
	bool has_age; /* false: NULL */
	int64_t age;
};
bool upsert(struct request *req, int64_t id, struct slice name, int64_t age, struct upsert_row *row);
/* queries/types.sql:19 */
int64_t upd(struct request *req, struct slice title, struct slice body, double delta, int64_t id, int64_t author, int64_t at);
/* queries/types.sql:21 */
int64_t del(struct request *req, int64_t a, int64_t b, int64_t c, struct slice name);
/* queries/types.sql:23 */
bool sel(struct request *req, struct slice title, struct slice body, int64_t age);
bool sel_try(struct request *req, struct slice title, struct slice body, int64_t age);
/* queries/types.sql:25 */
struct opt_row {
	bool has_id; /* false: NULL */
	int64_t id;
	struct slice kind;
	int64_t unknown_age;
	struct slice loud;
	bool has_e2; /* false: NULL */
	struct slice e2;
	bool has_neg; /* false: NULL */
	int64_t neg;
	bool has_twice; /* false: NULL */
	int64_t twice;
	bool has_half; /* false: NULL */
	double half;
	int64_t writes;
	int64_t posts;
	bool has_one; /* false: NULL */
	struct slice one;
};
struct opt {
	struct db_rows *rows;
};
struct opt opt(struct request *req, const struct slice *mail);
/* queries/types.sql:30 */
struct cte_row {
	struct slice title;
	bool has_len; /* false: NULL */
	int64_t len;
};
struct cte {
	struct db_rows *rows;
};
struct cte cte(struct request *req, int64_t since, double score);
/* queries/types.sql:32 */
struct uni_row {
	bool has_name; /* false: NULL */
	struct slice name;
};
struct uni {
	struct db_rows *rows;
};
struct uni uni(struct request *req);
/* queries/types.sql:34 */
struct win_row {
	int64_t id;
	int64_t pos;
	bool has_prev; /* false: NULL */
	struct slice prev;
};
struct win {
	struct db_rows *rows;
};
struct win win(struct request *req);
/* queries/types.sql:36 */
struct ret_row {
	int64_t id;
	int64_t author;
	struct slice title;
	struct slice body;
	int64_t at;
	double score;
};
bool ret(struct request *req, int64_t id, struct ret_row *row);
/* queries/types.sql:38 */
struct casts_row {
	int64_t y;
	bool has_born; /* false: NULL */
	struct slice born;
};
bool casts(struct request *req, int64_t x, int64_t id, struct casts_row *row);
/* queries/types.sql:40 */
struct js_row {
	int64_t id;
};
struct js {
	struct db_rows *rows;
};
struct js js(struct request *req, struct slice ids, int64_t len, struct slice pre);
/* queries/types.sql:42 */
struct outer_view_row {
	int64_t id;
	struct slice name;
	struct slice title;
	bool has_next; /* false: NULL */
	int64_t next;
	bool has_len; /* false: NULL */
	int64_t len;
};
struct outer_view {
	struct db_rows *rows;
};
struct outer_view outer_view(struct request *req, int64_t at);
/* queries/types.sql:44 */
struct outer_subquery_row {
	struct slice name;
	bool has_last; /* false: NULL */
	double last;
};
struct outer_subquery {
	struct db_rows *rows;
};
struct outer_subquery outer_subquery(struct request *req);
/* queries/types.sql:47 */
struct hidden_row {
	bool has_at; /* false: NULL */
	int64_t at;
};
struct hidden {
	struct db_rows *rows;
};
struct hidden hidden(struct request *req);
/* queries/types.sql:50 */
struct right_join_row {
	bool has_title; /* false: NULL */
	struct slice title;
	struct slice name;
};
struct right_join {
	struct db_rows *rows;
};
struct right_join right_join(struct request *req);
/* queries/types.sql:52 */
struct setting_row {
	struct slice key;
	bool has_value; /* false: NULL */
	double value;
};
bool setting(struct request *req, struct slice key, struct setting_row *row);
/* queries/types.sql:54 */
bool put_setting(struct request *req, struct slice key, double value);
bool put_setting_try(struct request *req, struct slice key, double value);
/* queries/types.sql:57 */
struct odd_row {
	struct slice text;
	bool has_other; /* false: NULL */
	int64_t other;
};
struct odd {
	struct db_rows *rows;
};
struct odd odd(struct request *req, struct slice text, int64_t other);
/* queries/types.sql:59 */
bool add_odd(struct request *req, struct slice text);
bool add_odd_try(struct request *req, struct slice text);
/* queries/types.sql:61 */
struct arithmetic_row {
	bool has_digit; /* false: NULL */
	int64_t digit;
	bool has_older; /* false: NULL */
	int64_t older;
	bool has_scaled; /* false: NULL */
	double scaled;
	bool has_no; /* false: NULL */
	int64_t no;
	bool has_young; /* false: NULL */
	int64_t young;
	int64_t a;
	bool has_age; /* false: NULL */
	int64_t age;
};
struct arithmetic {
	struct db_rows *rows;
};
struct arithmetic arithmetic(struct request *req, int64_t more, double scale, int64_t low, int64_t high, double weight, int64_t id, struct slice one, struct slice two, int64_t flag);
/* queries/types.sql:64 */
struct defaults_row {
	struct slice mail;
	int64_t age;
	bool has_name; /* false: NULL */
	struct slice name;
	bool has_letter; /* false: NULL */
	struct slice letter;
	bool has_small; /* false: NULL */
	int64_t small;
	bool has_weight; /* false: NULL */
	double weight;
	struct slice initial;
	struct slice replaced;
	bool has_today; /* false: NULL */
	struct slice today;
	int64_t now;
	bool has_shown; /* false: NULL */
	struct slice shown;
};
bool defaults(struct request *req, struct slice otherwise, struct slice from, struct slice to, int64_t id, struct defaults_row *row);
/* queries/types.sql:67 */
bool batch(struct request *req, int64_t author, struct slice t1, struct slice t2, struct slice b2, int64_t at2);
bool batch_try(struct request *req, int64_t author, struct slice t1, struct slice t2, struct slice b2, int64_t at2);
/* queries/types.sql:69 */
struct members_row {
	bool has_name; /* false: NULL */
	struct slice name;
	bool has_email; /* false: NULL */
	struct slice email;
};
struct members {
	struct db_rows *rows;
};
struct members members(struct request *req, int64_t id);
/* queries/types.sql:72 */
struct cases_row {
	double n;
	bool has_named; /* false: NULL */
	struct slice named;
	struct slice zero;
	int64_t minus;
	double big;
	int64_t hex;
	int64_t yes;
	struct slice text;
};
struct cases {
	struct db_rows *rows;
};
struct cases cases(struct request *req, struct slice photo);
/* queries/types.sql:74 */
int64_t touch(struct request *req, int64_t now, int64_t rename, struct slice title, struct slice mail);
/* queries/types.sql:76 */
struct united_row {
	bool has_x; /* false: NULL */
	struct slice x;
	bool has_id; /* false: NULL */
	int64_t id;
};
struct united {
	struct db_rows *rows;
};
struct united united(struct request *req);
/* queries/types.sql:78 */
struct inner_aggregate_row {
	bool has_id; /* false: NULL */
	int64_t id;
	struct slice name;
};
struct inner_aggregate {
	struct db_rows *rows;
};
struct inner_aggregate inner_aggregate(struct request *req);
#endif
