/* DNS messages on the wire (RFC 1035, 4; EDNS RFC 6891). Pure. Names inside are in wire form, without
 * compression. */
#ifndef DNS_MESSAGE_H
#define DNS_MESSAGE_H

#include <base/err.h>
#include <base/slice.h>
#include <net/dns.h>

#define DNS_NAME_MAX 255    /* bytes, with the root's */
#define DNS_QUERY_MAX (12 + DNS_NAME_MAX + 4 + 11)
#define DNS_UDP_PAYLOAD 1232 /* what we say that we take in one datagram: never fragmented */

enum { DNS_TYPE_A = 1, DNS_TYPE_CNAME = 5, DNS_TYPE_SOA = 6, DNS_TYPE_AAAA = 28, DNS_TYPE_OPT = 41 };
enum { DNS_RCODE_OK = 0, DNS_RCODE_FORMAT = 1, DNS_RCODE_NO_NAME = 3, DNS_RCODE_NOT_IMPLEMENTED = 4 };

struct dns_name {
	uint8_t len;
	uint8_t byte[DNS_NAME_MAX];
};

struct dns_answer {
	uint8_t rcode;
	bool truncated;
	uint32_t ttl_s; /* for how long all of this holds; 0: not to be kept */
	uint32_t count;
	struct net_address address[DNS_ADDRESSES_MAX];
	/* The name that the aliases lead to, when the answer does not say more about it. */
	bool has_alias;
	struct dns_name alias;
};

/* From text: letters, digits, '-' and '_' (service names) in labels of 1 to 63; letters become lower-case. False: not a name. */
bool dns_name_parse(struct slice text, struct dns_name *out);
/* Without regard to the case of letters. */
bool dns_name_equal(const struct dns_name *a, const struct dns_name *b);
/* Writes a question with recursion desired to `out` (DNS_QUERY_MAX bytes); its length. The case of each letter
 * follows the bits of `cases`, by which forged answers can be told (draft-vixie-dnsext-dns0x20). */
size_t dns_query_write(uint8_t *out, uint16_t id, const struct dns_name *name, uint16_t type, bool edns,
	const uint8_t cases[DNS_NAME_MAX / 8 + 1]);
/* Reads what answers `query` (as written above). False: it does not answer it, or is malformed. */
bool dns_answer_read(struct slice message, struct slice query, struct dns_answer *out);

#endif
