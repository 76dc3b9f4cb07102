/* A double as the shortest decimal that is read as the same double again, and of these the nearest: the algorithm of
 * Steele and White, in the form of Burger and Dybvig ("Printing Floating-Point Numbers Quickly and Accurately", 1996).
 *
 * The number is r / s; whatever lies between (r - below) / s and (r + above) / s is read as it. Digits are taken from
 * r / s until what is left is smaller than that. All four are integers of up to 1,132 bits, few limbs for usual numbers. */
#include "json.h"

#include <string.h>

#define LIMBS 38
#define DIGITS_MAX 17

struct big {
	uint32_t len; /* limbs, without zeros on top */
	uint32_t limb[LIMBS];
};

static void big_multiply(struct big *b, uint32_t by)
{
	uint64_t carry = 0;
	for (uint32_t i = 0; i < b->len; i++) {
		carry += (uint64_t)b->limb[i] * by;
		b->limb[i] = (uint32_t)carry;
		carry >>= 32;
	}
	if (carry)
		b->limb[b->len++] = (uint32_t)carry;
}

static struct big big_of(uint64_t value, uint32_t shift)
{
	struct big b = {.len = 2 + shift / 32};
	memset(b.limb, 0, b.len * sizeof b.limb[0]);
	b.limb[b.len - 2] = (uint32_t)value;
	b.limb[b.len - 1] = (uint32_t)(value >> 32);
	while (b.len && !b.limb[b.len - 1])
		b.len--;
	big_multiply(&b, UINT32_C(1) << shift % 32);
	return b;
}

static void big_multiply_power_of_10(struct big *b, uint32_t exponent)
{
	for (; exponent >= 9; exponent -= 9)
		big_multiply(b, 1000000000);
	for (; exponent; exponent--)
		big_multiply(b, 10);
}

static struct big big_add(const struct big *a, const struct big *b)
{
	struct big sum = {.len = a->len > b->len ? a->len : b->len};
	uint64_t carry = 0;
	for (uint32_t i = 0; i < sum.len; i++) {
		carry += (uint64_t)(i < a->len ? a->limb[i] : 0) + (i < b->len ? b->limb[i] : 0);
		sum.limb[i] = (uint32_t)carry;
		carry >>= 32;
	}
	if (carry)
		sum.limb[sum.len++] = (uint32_t)carry;
	return sum;
}

static int big_compare(const struct big *a, const struct big *b)
{
	if (a->len != b->len)
		return a->len < b->len ? -1 : 1;
	for (uint32_t i = a->len; i-- > 0;)
		if (a->limb[i] != b->limb[i])
			return a->limb[i] < b->limb[i] ? -1 : 1;
	return 0;
}

/* a >= b. */
static void big_subtract(struct big *a, const struct big *b)
{
	int64_t borrow = 0;
	for (uint32_t i = 0; i < a->len; i++) {
		borrow += (int64_t)a->limb[i] - (i < b->len ? b->limb[i] : 0);
		a->limb[i] = (uint32_t)borrow;
		borrow >>= 32;
	}
	while (a->len && !a->limb[a->len - 1])
		a->len--;
}

/* 0.DIGITS * 10^point. */
struct decimal {
	uint32_t count;
	int32_t point;
	uint8_t digit[DIGITS_MAX]; /* '0' to '9' */
};

struct fraction {
	struct big r, s, below, above;
	bool even; /* the bounds themselves are read as this number, too */
};

/* m * 2^e, where m has its highest bit, or e is the least there is. */
static struct fraction fraction_of(uint64_t m, int32_t e)
{
	bool lowest = m == UINT64_C(1) << 52 && e > -1074; /* what is below it lies half as near */
	uint32_t up = e > 0 ? (uint32_t)e : 0, down = e < 0 ? (uint32_t)-e : 0;
	return (struct fraction){.r = big_of(m, up + 1 + lowest), .s = big_of(1, down + 1 + lowest),
		.below = big_of(1, up), .above = big_of(1, up + lowest), .even = !(m & 1)};
}

/* One more digit of f: 10 * r / s. */
static uint32_t digit_next(struct fraction *f)
{
	uint32_t digit = 0;
	big_multiply(&f->r, 10);
	big_multiply(&f->below, 10);
	big_multiply(&f->above, 10);
	for (; big_compare(&f->r, &f->s) >= 0; digit++)
		big_subtract(&f->r, &f->s);
	return digit;
}

static bool rounds_up(const struct fraction *f)
{
	struct big top = big_add(&f->r, &f->above);
	return big_compare(&top, &f->s) >= !f->even;
}

/* Scales f to r / s < 1, so that its first digit stands behind the point. */
static int32_t scale(struct fraction *f, int32_t bits)
{
	/* The floor of bits * log10(2), and one: right, or one too small. */
	int32_t scaled = bits * 30103, point = scaled / 100000 - (scaled < 0 && scaled % 100000 != 0) + 1;
	if (point >= 0) {
		big_multiply_power_of_10(&f->s, (uint32_t)point);
	} else {
		big_multiply_power_of_10(&f->r, (uint32_t)-point);
		big_multiply_power_of_10(&f->below, (uint32_t)-point);
		big_multiply_power_of_10(&f->above, (uint32_t)-point);
	}
	if (!rounds_up(f))
		return point;
	big_multiply(&f->s, 10);
	return point + 1;
}

static struct decimal decimal_of(uint64_t m, int32_t e)
{
	struct fraction f = fraction_of(m, e);
	struct decimal d = {.point = scale(&f, 63 - __builtin_clzll(m) + e)};
	for (;;) {
		uint32_t digit = digit_next(&f);
		bool down = big_compare(&f.r, &f.below) < f.even, up = rounds_up(&f);
		if (down && up) {
			struct big twice = big_add(&f.r, &f.r);
			int half = big_compare(&twice, &f.s);
			up = half > 0 || (half == 0 && digit % 2); /* of two that are as near, the even one */
		}
		d.digit[d.count++] = (uint8_t)('0' + digit + up);
		if (down || up)
			return d;
	}
}

static void write_zeros(struct writer *w, int32_t count)
{
	for (; count > 0; count--)
		write_u8(w, '0');
}

static void write_decimal(struct writer *w, const struct decimal *d)
{
	int32_t count = (int32_t)d->count, whole = d->point < count ? d->point : count;
	struct slice digits = slice_of(d->digit, d->count);
	if (d->point < -5 || d->point > 21)
		whole = 1;
	if (whole > 0)
		write_bytes(w, slice_sub(digits, 0, (size_t)whole));
	else
		write_u8(w, '0');
	if (whole < count) {
		write_u8(w, '.');
		write_zeros(w, -whole);
		write_bytes(w, slice_sub(digits, whole > 0 ? (size_t)whole : 0, d->count));
	}
	if (d->point < -5 || d->point > 21) {
		write_bytes(w, d->point > 0 ? SLICE("e+") : SLICE("e-"));
		write_dec(w, (uint64_t)(d->point > 0 ? d->point - 1 : 1 - d->point));
	} else {
		write_zeros(w, d->point - count);
	}
}

void json_real_write(struct writer *w, double value)
{
	uint64_t bits;
	memcpy(&bits, &value, sizeof bits);
	uint32_t exponent = (uint32_t)(bits >> 52 & 2047);
	uint64_t fraction = bits & ((UINT64_C(1) << 52) - 1);
	if (exponent == 2047) {
		write_bytes(w, SLICE("null")); /* infinite, or no number */
		return;
	}
	if (bits >> 63)
		write_u8(w, '-');
	if (!exponent && !fraction) {
		write_u8(w, '0');
		return;
	}
	struct decimal d = exponent ? decimal_of(fraction | UINT64_C(1) << 52, (int32_t)exponent - 1075)
				    : decimal_of(fraction, -1074);
	write_decimal(w, &d);
}
