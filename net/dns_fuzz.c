/* Any bytes as an answer. What is taken from them must fit, hold within limits, and be the same each time. */
#include <base/assert.h>
#include <base/bytes.h>

#include "dns_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t cases[DNS_NAME_MAX / 8 + 1] = {0x5a};
	uint8_t query[DNS_QUERY_MAX], message[2048];
	struct dns_name name;
	struct dns_answer a, b;
	if (!dns_name_parse(SLICE("www.example.com"), &name))
		__builtin_trap();
	size_t len = dns_query_write(query, 0x1234, &name, size & 1 ? DNS_TYPE_A : DNS_TYPE_AAAA, true, cases);
	/* The fuzzer's bytes are the whole message, or what follows a header and question that fit. */
	size_t head = size && data[0] & 1 ? len - 11 : 0;
	if (size > sizeof message - head)
		return 0;
	memcpy(message, query, head);
	memcpy(message + head, data, size);
	if (head) {
		message[2] = 0x81;
		message[3] = 0x80;
		store_be16(message + 6, size > 1 ? data[1] & 31 : 0);
		store_be16(message + 8, size > 2 ? data[2] & 3 : 0);
	}
	struct slice all = slice_of(message, head + size), asked = slice_of(query, len);
	if (!dns_answer_read(all, asked, &a))
		return 0;
	if (a.count > DNS_ADDRESSES_MAX || a.ttl_s > 86400 || a.rcode > 15 || (a.count && a.has_alias))
		__builtin_trap();
	if (a.has_alias && (a.alias.len == 0 || a.alias.byte[a.alias.len - 1] != 0))
		__builtin_trap();
	if (!dns_answer_read(all, asked, &b) || b.count != a.count || b.ttl_s != a.ttl_s)
		__builtin_trap();
	return 0;
}
