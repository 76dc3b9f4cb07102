/* The counters by name. */
#include <net/net.h>

#include "engine.h"

#define COUNTER(field) {#field, offsetof(struct net_counters, field)}

static const struct {
	const char *name;
	size_t offset;
} table[] = {
	COUNTER(if_in_frames),
	COUNTER(if_in_octets),
	COUNTER(if_out_frames),
	COUNTER(if_out_octets),
	COUNTER(if_in_discards_unknown),
	COUNTER(if_in_runts),
	COUNTER(arp_in_requests),
	COUNTER(arp_in_replies),
	COUNTER(arp_out_requests),
	COUNTER(arp_out_replies),
	COUNTER(arp_in_errors),
	COUNTER(arp_conflicts),
	COUNTER(arp_failures),
	COUNTER(arp_queue_drops),
	COUNTER(ndp_failures),
	COUNTER(ndp_queue_drops),
	COUNTER(ndp_in_solicits),
	COUNTER(ndp_in_adverts),
	COUNTER(ndp_out_solicits),
	COUNTER(ndp_out_adverts),
	COUNTER(ndp_in_router_adverts),
	COUNTER(ndp_out_router_solicits),
	COUNTER(ndp_in_redirects),
	COUNTER(ndp_in_errors),
	COUNTER(ndp_in_loops),
	COUNTER(ndp_conflicts),
	COUNTER(ndp_table_full),
	COUNTER(mld_in_queries),
	COUNTER(mld_in_errors),
	COUNTER(mld_out_reports),
	COUNTER(ip_in_receives),
	COUNTER(ip_in_hdr_errors),
	COUNTER(ip_in_addr_errors),
	COUNTER(ip_in_unknown_protos),
	COUNTER(ip_in_truncated),
	COUNTER(ip_in_fragments_dropped),
	COUNTER(ip_out_requests),
	COUNTER(ip_out_no_routes),
	COUNTER(icmp_in_msgs),
	COUNTER(icmp_in_errors),
	COUNTER(icmp_in_echos),
	COUNTER(icmp_out_echo_reps),
	COUNTER(icmp_out_dest_unreachs),
	COUNTER(icmp_out_rate_limited),
	COUNTER(udp_in_datagrams),
	COUNTER(udp_no_ports),
	COUNTER(udp_in_errors),
	COUNTER(udp_out_datagrams),
	COUNTER(tcp_active_opens),
	COUNTER(tcp_passive_opens),
	COUNTER(tcp_attempt_fails),
	COUNTER(tcp_estab_resets),
	COUNTER(tcp_in_segs),
	COUNTER(tcp_out_segs),
	COUNTER(tcp_retrans_segs),
	COUNTER(tcp_in_errs),
	COUNTER(tcp_out_rsts),
	COUNTER(tcp_fast_path),
	COUNTER(tcp_syn_drops),
	COUNTER(tcp_syn_cookies_sent),
	COUNTER(tcp_syn_cookies_good),
	COUNTER(tcp_syn_cookies_bad),
	COUNTER(tcp_accept_drops),
	COUNTER(tcp_listen_limit_drops),
	COUNTER(tcp_tail_loss_probes),
	COUNTER(tcp_timeouts),
	COUNTER(tcp_fast_recoveries),
	COUNTER(tcp_dup_acks_in),
	COUNTER(tcp_zero_window_probes),
	COUNTER(tcp_keepalive_probes),
	COUNTER(tcp_user_timeouts),
	COUNTER(tcp_fin_wait_2_timeouts),
	COUNTER(tcp_challenge_acks),
	COUNTER(tcp_challenge_acks_limited),
	COUNTER(tcp_paws_drops),
	COUNTER(tcp_rst_ignored),
	COUNTER(tcp_out_of_order),
	COUNTER(tcp_out_of_order_drops),
	COUNTER(tcp_rx_pressure_drops),
	COUNTER(tcp_rx_copied_octets),
	COUNTER(tcp_time_waits),
	COUNTER(tcp_time_wait_recycled),
	COUNTER(tcp_time_wait_evicted),
	COUNTER(dhcp_discovers),
	COUNTER(dhcp_requests),
	COUNTER(dhcp_acks),
	COUNTER(dhcp_naks),
	COUNTER(dhcp_expiries),
	COUNTER(tx_frame_failures),
};

/* Each counter has its name. */
_Static_assert(ARRAY_LEN(table) * sizeof(uint64_t) == sizeof(struct net_counters), "a counter has no name");

bool net_counter_at(const struct net *net, uint32_t i, struct net_counter *out)
{
	if (i >= ARRAY_LEN(table))
		return false;
	out->name = table[i].name;
	memcpy(&out->value, (const uint8_t *)&net->counters + table[i].offset, sizeof out->value);
	return true;
}
