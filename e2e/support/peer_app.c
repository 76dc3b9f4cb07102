/* The application of e2e/peer.sh's guest: sends bytes that it makes up, and says the hash of what it is sent. */
#include <base/hash.h>
#include <ingot.h>

#define BYTES (16 * 1048576) /* peer.sh puts another number here */

static uint64_t big[BYTES / 8];

/* As e2e/support/client.c makes them. */
static void fill(void)
{
	uint64_t x = 0x9e3779b97f4a7c15u;
	for (size_t i = 0; i < BYTES / 8; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		big[i] = x;
	}
}

static void download(struct request *req)
{
	if (!big[0])
		fill();
	reply_bytes(req, 200, "application/octet-stream",
		slice_of((const uint8_t *)big, (size_t)request_query_int(req, "n", 0, BYTES, BYTES)));
}

static void upload(struct request *req)
{
	uint8_t hash[32], *text = arena_alloc(request_arena(req), 64);
	hash_sha256(request_body(req), hash);
	for (int i = 0; text && i < 64; i++)
		text[i] = (uint8_t)"0123456789abcdef"[hash[i / 2] >> (i & 1 ? 0 : 4) & 15];
	if (text)
		reply_text(req, 200, slice_of(text, 64));
}

APP_ROUTES(GET("/big", download), POST("/hash", upload))
