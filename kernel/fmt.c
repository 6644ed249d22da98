/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Strings and formatting.
 */
#include <quern/base.h>

size_t
qstrlen(const char *s)
{
	size_t n;

	for (n = 0; s[n] != '\0'; n++)
		continue;
	return n;
}

int
qstrcmp(const char *a, const char *b)
{
	while (*a != '\0' && *a == *b)
		a++, b++;
	return (unsigned char)*a - (unsigned char)*b;
}

/* Where the output goes; of_pos counts on past the end. */
struct out {
	char *of_buf;
	size_t of_len;
	size_t of_pos;
};

/* One conversion: %[0-][width][.prec]. */
struct conv {
	bool cv_zero, cv_left;
	unsigned cv_width;
	int cv_prec; /* -1: none */
	unsigned cv_long;
};

static void
put(struct out *o, char c)
{
	if (o->of_pos + 1 < o->of_len)
		o->of_buf[o->of_pos] = c;
	o->of_pos++;
}

static void
put_padded(struct out *o, const struct conv *cv, const char *s, size_t n)
{
	size_t pad = cv->cv_width > n ? cv->cv_width - n : 0;

	for (; !cv->cv_left && pad > 0; pad--)
		put(o, ' ');
	while (n-- > 0)
		put(o, *s++);
	for (; pad > 0; pad--)
		put(o, ' ');
}

static void
put_number(struct out *o, const struct conv *cv, uint64_t x, unsigned base,
    bool negative)
{
	char digits[24];
	size_t n = sizeof(digits), sign = negative ? 1 : 0;

	do {
		digits[--n] = "0123456789abcdef"[x % base];
		x /= base;
	} while (x != 0);
	while (cv->cv_zero && !cv->cv_left && n > sign &&
	    sizeof(digits) - n + sign < cv->cv_width)
		digits[--n] = '0';
	if (negative)
		digits[--n] = '-';
	put_padded(o, cv, digits + n, sizeof(digits) - n);
}

static const char *
parse_conv(const char *f, struct conv *cv)
{
	*cv = (struct conv){ .cv_prec = -1 };
	for (; *f == '0' || *f == '-'; f++) {
		cv->cv_zero |= *f == '0';
		cv->cv_left |= *f == '-';
	}
	for (; *f >= '0' && *f <= '9'; f++)
		cv->cv_width = cv->cv_width * 10 + (unsigned)(*f - '0');
	if (*f == '.')
		for (cv->cv_prec = 0, f++; *f >= '0' && *f <= '9'; f++)
			cv->cv_prec = cv->cv_prec * 10 + (*f - '0');
	for (; *f == 'l' || *f == 'z'; f++)
		cv->cv_long++;
	return f;
}

int
qvsnprintf(char *buf, size_t len, const char *f, va_list ap)
{
	struct out o = { buf, len, 0 };
	struct conv cv;
	const char *s;
	int64_t i;
	size_t n;
	char c;

	for (; *f != '\0'; f++) {
		if (*f != '%') {
			put(&o, *f);
			continue;
		}
		f = parse_conv(f + 1, &cv);
		switch (*f) {
		case 'd':
		case 'i':
			i = cv.cv_long ? va_arg(ap, int64_t) : va_arg(ap, int);
			put_number(&o, &cv, i < 0 ? -(uint64_t)i : (uint64_t)i,
			    10, i < 0);
			break;
		case 'u':
		case 'x':
		case 'o':
			put_number(&o, &cv,
			    cv.cv_long ? va_arg(ap, uint64_t) :
					 va_arg(ap, unsigned),
			    *f == 'u'     ? 10 :
				*f == 'x' ? 16 :
					    8,
			    false);
			break;
		case 'p':
			put(&o, '0');
			put(&o, 'x');
			put_number(&o, &cv, (uintptr_t)va_arg(ap, void *), 16,
			    false);
			break;
		case 's':
			s = va_arg(ap, const char *);
			if (s == NULL)
				s = "(null)";
			for (n = 0;
			     (cv.cv_prec < 0 || n < (size_t)cv.cv_prec) &&
			     s[n] != '\0';
			     n++)
				continue;
			put_padded(&o, &cv, s, n);
			break;
		case 'c':
			c = (char)va_arg(ap, int);
			put_padded(&o, &cv, &c, 1);
			break;
		case '%':
			put(&o, '%');
			break;
		default: /* the compiler has checked the format */
			f--;
			break;
		}
	}
	if (len > 0)
		buf[o.of_pos < len ? o.of_pos : len - 1] = '\0';
	return (int)o.of_pos;
}

int
qsnprintf(char *buf, size_t len, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = qvsnprintf(buf, len, fmt, ap);
	va_end(ap);
	return n;
}
