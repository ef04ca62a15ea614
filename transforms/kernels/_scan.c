/* What takes a look at every octet of a text: many JSON objects as columns, where objects stand in a text, where an octet comes next.

   Objects are read in one pass: the keys of an object are expected in the order of the object before it, and values go straight to the column of
   their path. What is plain is read, strictly by RFC 8259; an object in which anything is unusual (another kind of value than asked for, a key
   that stands twice or is written with escapes, half a surrogate pair, a number that needs more than 64 bits, deep nesting) is left in doubt,
   whole, to a slower reader. So this one never has to decide what such things mean, and never raises an error for what stands in a log.

   No memory of Python's is touched while objects are read: other threads run. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_KEYS = 64 };  /* keys of an object whose order is remembered */
enum { MOST_DEPTH = 64 }; /* levels within a value that is passed over: a bit each */

typedef enum { STRING, INT, FLOAT, BOOLEAN, OBJECT } Kind; /* the numbers are those of json_columns.py */

typedef struct {
    const char *begin;
    uint32_t length; /* as it stands in the text */
    uint32_t octets; /* without escapes: fewer, if there are any */
} Text;

typedef union {
    int64_t whole; /* integers and booleans */
    double number;
    Text text;
} Value;

typedef struct {
    const char *key;
    size_t length;
    int child; /* the position of its node, -1: passed over */
} Expected;

typedef struct {
    const char *key;
    Py_ssize_t length;
    Kind kind;
    bool repeated;
    int children, first; /* of an object: how many, and the position of the first; they stand side by side */
    int64_t seen;        /* the last row in which its key stood */
    uint8_t *valid;      /* of each row */
    Value *values;       /* of each row, or of each item */
    int32_t *ends;       /* of each row of a repeated field: how many items there are up to it */
    int64_t items, room;
    Expected *expected; /* of an object: its keys, as they stood in the row before */
    int known;
} Node;

/* A number that takes more than one rounding: Python reads it when all objects have been read. */
typedef struct {
    const char *begin;
    uint32_t length;
    int node;
    int64_t place; /* among the values of the node */
} Delayed;

typedef struct {
    const char *at, *end;
    Node *nodes;
    int count;
    int64_t row;
    Delayed *numbers;
    int64_t delayed, room; /* of the numbers: how many there are, and how many there is room for */
    bool ascii;            /* whether other octets are in doubt */
    bool exhausted;        /* memory */
} Reader;

/* Octets and words */

#define EACH_OCTET(octet) (UINT64_C(0x0101010101010101) * (octet))

static inline char peek(const Reader *reader) { return reader->at < reader->end ? *reader->at : '\0'; }

static inline char after_space(Reader *reader) {
    char found = peek(reader);
    while (found == ' ' || found == '\t' || found == '\n' || found == '\r') {
        reader->at++;
        found = peek(reader);
    }
    return found;
}

static inline bool take(Reader *reader, char expected) {
    if (after_space(reader) != expected) return false;
    reader->at++;
    return true;
}

static bool take_word(Reader *reader, const char *word, size_t length) {
    if ((size_t)(reader->end - reader->at) < length || memcmp(reader->at, word, length) != 0) return false;
    reader->at += length;
    return true;
}

static inline uint64_t eight_octets(const char *from) {
    uint64_t word;
    memcpy(&word, from, sizeof word);
    return word;
}

/* Which of eight octets are below a bound of at most 128: their highest bits. Of octets behind the first such one it may lie. */
static inline uint64_t first_below(uint64_t word, uint8_t bound) {
    return (word - EACH_OCTET(bound)) & ~word & EACH_OCTET(0x80);
}

static inline uint64_t first_ones(uint64_t word, char octet) { return first_below(word ^ EACH_OCTET((uint8_t)octet), 1); }

/* How many octets stand in the text before the first that is marked. */
static inline int octets_before(uint64_t marked) {
#if defined(__GNUC__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    return __builtin_ctzll(marked) / 8;
#else
    char octets[8];
    int before = 0;
    memcpy(octets, &marked, 8);
    while (!octets[before]) before++;
    return before;
#endif
}

/* The octets that may end a plain stretch of a string. */
static inline uint64_t first_special(uint64_t word, bool ascii) {
    uint64_t found = first_ones(word, '"') | first_ones(word, '\\') | first_below(word, 0x20);
    return ascii ? found | (word & EACH_OCTET(0x80)) : found;
}

/* Strings */

/* Goes to the first octet that may end a plain stretch of a string. */
static inline void pass_plain(Reader *reader) {
    while (reader->end - reader->at >= 8) {
        uint64_t found = first_special(eight_octets(reader->at), reader->ascii);
        reader->at += found ? octets_before(found) : 8;
        if (found) return;
    }
    while (reader->at < reader->end) {
        unsigned char octet = (unsigned char)*reader->at;
        if (octet == '"' || octet == '\\' || octet < 0x20 || (reader->ascii && octet >= 0x80)) return;
        reader->at++;
    }
}

static int hexadecimal(const char *from) {
    int value = 0;
    for (int i = 0; i < 4; i++) {
        char digit = from[i];
        int one = digit >= '0' && digit <= '9'   ? digit - '0'
                  : digit >= 'a' && digit <= 'f' ? digit - 'a' + 10
                  : digit >= 'A' && digit <= 'F' ? digit - 'A' + 10
                                                 : -1;
        if (one < 0) return -1;
        value = value * 16 + one;
    }
    return value;
}

/* Passes over an escape, and tells the character that it stands for; -1: none, or one that is in doubt. */
static inline int32_t escape(const char **at, const char *end) {
    static const char meant[256] = {['"'] = '"', ['\\'] = '\\', ['/'] = '/', ['b'] = '\b', ['f'] = '\f', ['n'] = '\n', ['r'] = '\r', ['t'] = '\t'};
    const char *from = *at + 1;
    if (from >= end) return -1;
    if (*from != 'u') {
        char letter = meant[(unsigned char)*from];
        if (!letter) return -1;
        *at = from + 1;
        return letter;
    }
    if (end - from < 5) return -1;
    int32_t unit = hexadecimal(from + 1);
    if (unit <= 0) return -1; /* Arrow and Python disagree about text with zeros */
    if (unit < 0xD800 || unit > 0xDFFF) {
        *at = from + 5;
        return unit;
    }
    if (unit > 0xDBFF || end - from < 11 || from[5] != '\\' || from[6] != 'u') return -1;
    int32_t second = hexadecimal(from + 7);
    if (second < 0xDC00 || second > 0xDFFF) return -1;
    *at = from + 11;
    return 0x10000 + ((unit - 0xD800) << 10) + (second - 0xDC00);
}

static uint32_t octets_of(int32_t character) {
    return character < 0x80 ? 1 : character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
}

/* Reads a string from its first quote to behind its last. */
static inline bool read_text(Reader *reader, Text *text) {
    if (peek(reader) != '"') return false;
    const char *begin = ++reader->at;
    uint32_t saved = 0;
    for (;;) {
        pass_plain(reader);
        char found = peek(reader);
        if (found == '"') break;
        if (found != '\\') return false;
        const char *from = reader->at;
        int32_t character = escape(&reader->at, reader->end);
        if (character < 0) return false;
        saved += (uint32_t)(reader->at - from) - octets_of(character);
    }
    text->begin = begin;
    text->length = (uint32_t)(reader->at++ - begin);
    text->octets = text->length - saved;
    return true;
}

/* Copies a text without its escapes, up to a limit of the room there is, and tells where it ends. */
static char *write_text(char *to, const char *limit, const Text *text) {
    if (text->octets == text->length) {
        memcpy(to, text->begin, text->length);
        return to + text->length;
    }
    const char *at = text->begin, *end = at + text->length;
    while (at < end) {
        while (end - at >= 8 && limit - to >= 8) {
            uint64_t found = first_ones(eight_octets(at), '\\');
            memcpy(to, at, 8);
            int plain = found ? octets_before(found) : 8;
            at += plain;
            to += plain;
            if (found) break;
        }
        if (at == end) break;
        if (*at != '\\') {
            *to++ = *at++;
            continue;
        }
        int32_t character = escape(&at, end);
        switch (octets_of(character)) {
        case 1:
            *to++ = (char)character;
            break;
        case 2:
            *to++ = (char)(0xC0 | character >> 6);
            *to++ = (char)(0x80 | (character & 0x3F));
            break;
        case 3:
            *to++ = (char)(0xE0 | character >> 12);
            *to++ = (char)(0x80 | (character >> 6 & 0x3F));
            *to++ = (char)(0x80 | (character & 0x3F));
            break;
        default:
            *to++ = (char)(0xF0 | character >> 18);
            *to++ = (char)(0x80 | (character >> 12 & 0x3F));
            *to++ = (char)(0x80 | (character >> 6 & 0x3F));
            *to++ = (char)(0x80 | (character & 0x3F));
        }
    }
    return to;
}

/* Numbers */

typedef struct {
    bool negative, whole; /* whole: neither a point nor an exponent */
    uint64_t digits;      /* without the point */
    int significant;      /* how many, but for zeros in front; beyond 19 `digits` is not to be used */
    int exponent;         /* of ten, by which to multiply them */
} Number;

static inline bool is_digit(char octet) { return octet >= '0' && octet <= '9'; }

static inline int pass_digits(Reader *reader, Number *number) {
    const char *begin = reader->at;
    while (is_digit(peek(reader))) {
        number->digits = number->digits * 10 + (uint64_t)(*reader->at++ - '0');
        number->significant += number->significant || number->digits;
    }
    return (int)(reader->at - begin);
}

static inline bool read_number(Reader *reader, Number *number) {
    *number = (Number){.whole = true};
    if (peek(reader) == '-') {
        number->negative = true;
        reader->at++;
    }
    if (peek(reader) == '0') {
        reader->at++;
        if (is_digit(peek(reader))) return false;
    } else if (!pass_digits(reader, number)) {
        return false;
    }
    if (peek(reader) == '.') {
        number->whole = false;
        reader->at++;
        int decimals = pass_digits(reader, number);
        if (!decimals) return false;
        number->exponent = -decimals;
    }
    if ((peek(reader) | 0x20) == 'e') {
        number->whole = false;
        reader->at++;
        bool negative = peek(reader) == '-';
        if (negative || peek(reader) == '+') reader->at++;
        int exponent = 0, digits = 0;
        for (; is_digit(peek(reader)); reader->at++, digits++) {
            if (exponent < 10000) exponent = exponent * 10 + (*reader->at - '0');
        }
        if (!digits) return false;
        number->exponent += negative ? -exponent : exponent;
    }
    return true;
}

static bool as_integer(const Number *number, int64_t *value) {
    if (!number->whole || number->significant > 19) return false;
    if (number->negative) { /* minus zero is a number with a point to Python */
        if (!number->digits || number->digits > UINT64_C(1) << 63) return false;
        *value = (int64_t)(0 - number->digits);
    } else {
        if (number->digits > INT64_MAX) return false;
        *value = (int64_t)number->digits;
    }
    return true;
}

#ifdef __SIZEOF_INT128__
/* digits / power, rounded to the nearest double, for digits of at least 2 ** 53 and a power of ten of at most 10 ** 19. */
static double quotient(uint64_t digits, uint64_t power) {
    unsigned __int128 dividend = (unsigned __int128)digits << 64, found = dividend / power;
    bool inexact = found * power != dividend;
    int length = found >> 64 ? 128 - __builtin_clzll((uint64_t)(found >> 64)) : 64 - __builtin_clzll((uint64_t)found);
    int dropped = length - 55; /* a double has 53 bits: one more tells the half, the last whether anything is behind it */
    uint64_t kept;
    if (dropped > 0) {
        inexact |= (found & (((unsigned __int128)1 << dropped) - 1)) != 0;
        kept = (uint64_t)(found >> dropped);
    } else {
        kept = (uint64_t)found << -dropped;
    }
    return ldexp((double)(kept | inexact), dropped - 64);
}
#endif

/* The nearest double, where it is found with arithmetic that is exact but for one rounding. */
static inline bool as_double(const Number *number, double *value) {
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    double found;
    int exponent = number->exponent;
    if (number->significant > 19 || FLT_EVAL_METHOD != 0) return false;
    if (!number->digits) {
        found = 0.0;
    } else if (exponent == 0) {
        found = (double)number->digits;
    } else if (number->digits <= UINT64_C(1) << DBL_MANT_DIG && exponent >= -22 && exponent <= 22) {
        found = exponent < 0 ? (double)number->digits / powers[-exponent] : (double)number->digits * powers[exponent];
#ifdef __SIZEOF_INT128__
    } else if (number->digits > UINT64_C(1) << DBL_MANT_DIG && exponent >= -19 && exponent < 0) {
        found = quotient(number->digits, (uint64_t)powers[-exponent]); /* whole numbers up to 1e22 are exact as doubles */
#endif
    } else {
        return false;
    }
    *value = number->negative ? -found : found;
    return true;
}

/* Room for one more of something; NULL if there is none. */
static void *more(void *some, int64_t *room, size_t size) {
    int64_t wanted = *room * 2 + 1024;
    void *found = wanted < INT32_MAX ? realloc(some, (size_t)wanted * size) : NULL;
    if (found) *room = wanted;
    return found;
}

static bool read_double(Reader *reader, const Node *node, Value *value) {
    const char *begin = reader->at;
    Number number;
    if (!read_number(reader, &number)) return false;
    if (as_double(&number, &value->number)) return true;
    if (number.significant + number.exponent > DBL_MAX_10_EXP) return false; /* perhaps no finite one */
    if (reader->delayed == reader->room) {
        Delayed *numbers = more(reader->numbers, &reader->room, sizeof *numbers);
        reader->exhausted = !numbers;
        if (!numbers) return false;
        reader->numbers = numbers;
    }
    reader->numbers[reader->delayed++] =
        (Delayed){begin, (uint32_t)(reader->at - begin), (int)(node - reader->nodes), value - node->values};
    return true;
}

/* The numbers that were left to Python, whose reader of doubles is exact. */
static bool read_delayed(Reader *reader) {
    for (int64_t i = 0; i < reader->delayed; i++) {
        const Delayed *number = &reader->numbers[i];
        PyObject *text = PyBytes_FromStringAndSize(number->begin, number->length); /* ends with a zero, as is asked for */
        if (!text) return false;
        double value = PyOS_string_to_double(PyBytes_AsString(text), NULL, NULL);
        Py_DECREF(text);
        if (PyErr_Occurred()) return false;
        reader->nodes[number->node].values[number->place].number = value;
    }
    return true;
}

/* Values */

/* Positions in a text, as many as come. */
typedef struct {
    int64_t *all, count, room;
} Positions;

static bool append(Positions *positions, int64_t position) {
    if (positions->count == positions->room) {
        int64_t *found = more(positions->all, &positions->room, sizeof *found);
        if (!found) return false;
        positions->all = found;
    }
    positions->all[positions->count++] = position;
    return true;
}

/* Where objects and arrays stand, by the number of others that they stand in, and the commas between what those of one level hold. */
typedef struct {
    const char *text;
    int within;
    Positions begins[MOST_DEPTH], ends[MOST_DEPTH], commas, numbers;
    bool enough; /* memory */
} Marks;

static inline void mark(Marks *marks, Positions *positions, const char *at) {
    if (marks) marks->enough &= append(positions, at - marks->text);
}

static inline void mark_comma(Marks *marks, int depth, const char *at) {
    if (!marks || depth != marks->within + 1) return;
    mark(marks, &marks->commas, at);
    marks->enough &= append(&marks->numbers, marks->begins[marks->within].count - 1);
}

/* Passes over a value of any kind; marks, if it is asked to, what stands in it. */
static inline bool pass_over(Reader *reader, Marks *marks) {
    uint64_t objects = 0; /* which of the levels around are objects, the innermost lowest */
    int depth = 0;
    Text text;
    Number number;
    for (;;) {
        bool ended = true;
        switch (after_space(reader)) {
        case '"':
            if (!read_text(reader, &text)) return false;
            break;
        case '{':
        case '[': {
            if (depth == MOST_DEPTH) return false;
            if (marks) mark(marks, &marks->begins[depth], reader->at);
            bool object = *reader->at++ == '{';
            if (take(reader, object ? '}' : ']')) {
                if (marks) mark(marks, &marks->ends[depth], reader->at);
                break;
            }
            objects = objects << 1 | object;
            depth++;
            ended = false;
            break;
        }
        case 't':
            if (!take_word(reader, "true", 4)) return false;
            break;
        case 'f':
            if (!take_word(reader, "false", 5)) return false;
            break;
        case 'n':
            if (!take_word(reader, "null", 4)) return false;
            break;
        default:
            if (!read_number(reader, &number)) return false;
        }
        while (ended) {
            if (!depth) return true;
            if (take(reader, ',')) {
                mark_comma(marks, depth, reader->at - 1);
                break;
            }
            if (!take(reader, objects & 1 ? '}' : ']')) return false;
            objects >>= 1;
            depth--;
            if (marks) mark(marks, &marks->ends[depth], reader->at);
        }
        if (objects & 1) {
            after_space(reader);
            if (!read_text(reader, &text) || !take(reader, ':')) return false;
        }
    }
}

static bool pass_value(Reader *reader) { return pass_over(reader, NULL); }

static inline bool read_scalar(Reader *reader, const Node *node, Value *value) {
    Number number;
    switch (node->kind) {
    case STRING:
        return read_text(reader, &value->text);
    case INT:
        return read_number(reader, &number) && as_integer(&number, &value->whole);
    case FLOAT:
        return read_double(reader, node, value);
    default:
        value->whole = peek(reader) == 't';
        return value->whole ? take_word(reader, "true", 4) : take_word(reader, "false", 5);
    }
}

static bool read_items(Reader *reader, Node *node) {
    if (!take(reader, '[')) return false;
    if (take(reader, ']')) return true;
    do {
        if (node->items == node->room) {
            Value *values = more(node->values, &node->room, sizeof *values);
            reader->exhausted = !values;
            if (!values) return false;
            node->values = values;
        }
        after_space(reader);
        if (!read_scalar(reader, node, &node->values[node->items])) return false;
        node->items++;
    } while (take(reader, ','));
    return take(reader, ']');
}

static int child_of(const Reader *reader, const Node *node, const char *key, size_t length) {
    for (int child = node->first; child < node->first + node->children; child++) {
        const Node *one = &reader->nodes[child];
        if ((size_t)one->length == length && memcmp(one->key, key, length) == 0) return child;
    }
    return -1;
}

/* Reads a key from its first quote to behind its last: the node that it leads to, -1 to none, -2 in doubt. */
static inline int read_key(Reader *reader, Node *node, int place) {
    if (after_space(reader) != '"') return -2;
    if (place < node->known) {
        const Expected *expected = &node->expected[place];
        const char *begin = reader->at + 1;
        if ((size_t)(reader->end - begin) > expected->length && begin[expected->length] == '"' &&
            memcmp(begin, expected->key, expected->length) == 0) {
            reader->at = begin + expected->length + 1;
            return expected->child;
        }
    }
    Text key;
    if (!read_text(reader, &key) || key.octets != key.length) return -2;
    int child = child_of(reader, node, key.begin, key.length);
    if (place < MOST_KEYS) {
        node->expected[place] = (Expected){key.begin, key.length, child};
        if (place >= node->known) node->known = place + 1;
    }
    return child;
}

/* Reads an object from its brace on; how deep these go is up to the schema. */
static bool read_object(Reader *reader, Node *node) {
    if (!take(reader, '{')) return false;
    node->valid[reader->row] = 1;
    if (take(reader, '}')) return true;
    int place = 0;
    do {
        int found = read_key(reader, node, place++);
        if (found == -2 || !take(reader, ':')) return false;
        if (found == -1) {
            if (!pass_value(reader)) return false;
            continue;
        }
        Node *child = &reader->nodes[found];
        if (child->seen == reader->row) return false;
        child->seen = reader->row;
        if (after_space(reader) == 'n') {
            if (!take_word(reader, "null", 4)) return false;
            continue;
        }
        if (child->kind == OBJECT) {
            if (!read_object(reader, child)) return false;
        } else {
            if (!(child->repeated ? read_items(reader, child)
                                  : read_scalar(reader, child, &child->values[reader->row])))
                return false;
            child->valid[reader->row] = 1;
        }
    } while (take(reader, ','));
    return take(reader, '}');
}

/* Reads the object that is all of a stretch; if it is in doubt, nothing of it remains. */
static bool read_row(Reader *reader) {
    int64_t delayed = reader->delayed;
    bool sure = read_object(reader, reader->nodes);
    after_space(reader);
    sure = sure && reader->at == reader->end;
    if (!sure) reader->delayed = delayed;
    for (int i = 0; i < reader->count; i++) {
        Node *node = &reader->nodes[i];
        if (!sure) node->valid[reader->row] = 0, node->seen = -1;
        if (!node->repeated) continue;
        int32_t before = reader->row ? node->ends[reader->row - 1] : 0;
        if (!sure) node->items = before;
        node->ends[reader->row] = (int32_t)node->items;
    }
    return sure;
}

/* To and from Python */

/* Lays out a tuple (key, kind, repeated, children) at a place, its children behind all that is laid out: their number, or -1. */
static int lay_out(PyObject *plan, Node *nodes, int place, int count, int most) {
    const char *key;
    Py_ssize_t length;
    int kind, repeated;
    PyObject *children;
    if (!PyArg_ParseTuple(plan, "y#ipO!", &key, &length, &kind, &repeated, &PyTuple_Type, &children)) return -1;
    int number = (int)PyTuple_Size(children), first = count;
    if (count + number > most || kind < STRING || kind > OBJECT) {
        PyErr_SetString(PyExc_ValueError, "the plan has other nodes than it says");
        return -1;
    }
    nodes[place] = (Node){.key = key, .length = length, .kind = (Kind)kind, .repeated = repeated, .children = number, .first = first, .seen = -1};
    count += number;
    for (int i = 0; i < number && count >= 0; i++) count = lay_out(PyTuple_GetItem(children, i), nodes, first + i, count, most);
    return count;
}

static bool allocate(Node *node, int64_t rows) {
    size_t room = (size_t)(rows ? rows : 1);
    node->valid = calloc(room, 1);
    if (node->kind == OBJECT) {
        node->expected = malloc(MOST_KEYS * sizeof *node->expected);
        return node->valid && node->expected;
    }
    if (node->repeated) {
        node->ends = malloc(room * sizeof *node->ends);
        return node->valid && node->ends;
    }
    node->values = malloc(room * sizeof *node->values);
    return node->valid && node->values;
}

static void release(Node *nodes, int count) {
    for (int i = 0; i < count; i++) {
        free(nodes[i].valid);
        free(nodes[i].values);
        free(nodes[i].ends);
        free(nodes[i].expected);
    }
    free(nodes);
}

static PyObject *bits(const uint8_t *flags, int64_t count) {
    PyObject *packed = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)((count + 7) / 8));
    if (!packed) return NULL;
    char *to = PyBytes_AsString(packed);
    memset(to, 0, (size_t)((count + 7) / 8));
    for (int64_t i = 0; i < count; i++) to[i / 8] |= (char)(flags[i] << (i % 8));
    return packed;
}

static PyObject *validity(const Node *node, int64_t rows) {
    if (!memchr(node->valid, 0, (size_t)rows)) return Py_NewRef(Py_None);
    return bits(node->valid, rows);
}

/* The values of a column as Arrow lays them out: bits, numbers of 64 bits, or offsets and text. Of rows that are null, nothing. */
static bool append_values(PyObject *buffers, const Node *node, int64_t count) {
    PyObject *first = NULL, *second = NULL;
    const uint8_t *valid = node->repeated ? NULL : node->valid;
    if (node->kind == BOOLEAN) {
        uint8_t *flags = malloc((size_t)(count ? count : 1));
        if (!flags) return PyErr_NoMemory(), false;
        for (int64_t i = 0; i < count; i++) flags[i] = (!valid || valid[i]) && node->values[i].whole;
        first = bits(flags, count);
        free(flags);
    } else if (node->kind == STRING) {
        uint64_t octets = 0;
        for (int64_t i = 0; i < count; i++) octets += !valid || valid[i] ? node->values[i].text.octets : 0;
        if (octets > INT32_MAX) return PyErr_SetString(PyExc_OverflowError, "more than 2 GiB of text"), false;
        first = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)((count + 1) * 4));
        second = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)octets);
        if (first && second) {
            char *begin = PyBytes_AsString(second), *to = begin, *limit = begin + octets;
            int32_t *offsets = (int32_t *)(void *)PyBytes_AsString(first);
            offsets[0] = 0;
            Py_BEGIN_ALLOW_THREADS;
            for (int64_t i = 0; i < count; i++) {
                if (!valid || valid[i]) to = write_text(to, limit, &node->values[i].text);
                offsets[i + 1] = (int32_t)(to - begin);
            }
            Py_END_ALLOW_THREADS;
        }
    } else {
        first = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(count * 8));
        if (first) {
            int64_t *to = (int64_t *)(void *)PyBytes_AsString(first);
            for (int64_t i = 0; i < count; i++) to[i] = !valid || valid[i] ? node->values[i].whole : 0;
        }
    }
    bool done = first && PyList_Append(buffers, first) == 0;
    if (node->kind == STRING) done = done && second && PyList_Append(buffers, second) == 0;
    Py_XDECREF(first);
    Py_XDECREF(second);
    return done;
}

/* The buffers of a node and of those below it, in the order in which Arrow's IPC has them. */
static bool append_buffers(PyObject *buffers, const Node *nodes, const Node *node, int64_t rows) {
    PyObject *valid = validity(node, rows);
    if (!valid || PyList_Append(buffers, valid) < 0) return Py_XDECREF(valid), false;
    Py_DECREF(valid);
    if (node->kind == OBJECT) {
        for (int child = node->first; child < node->first + node->children; child++)
            if (!append_buffers(buffers, nodes, &nodes[child], rows)) return false;
        return true;
    }
    if (!node->repeated) return append_values(buffers, node, rows);
    PyObject *offsets = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)((rows + 1) * 4));
    if (!offsets) return false;
    memset(PyBytes_AsString(offsets), 0, 4);
    memcpy(PyBytes_AsString(offsets) + 4, node->ends, (size_t)(rows * 4));
    bool done = PyList_Append(buffers, offsets) == 0;
    Py_DECREF(offsets);
    return done && append_values(buffers, node, node->items);
}

static PyObject *read_all(Reader *reader, const Py_buffer *text, const int64_t *starts, const int64_t *ends, int64_t objects) {
    PyObject *buffers = PyList_New(0), *result = NULL;
    int64_t *doubtful = malloc((size_t)(objects ? objects : 1) * sizeof *doubtful), doubts = 0;
    bool inside = true;
    if (!buffers || !doubtful) {
        PyErr_NoMemory();
    } else {
        Py_BEGIN_ALLOW_THREADS;
        for (int64_t i = 0; i < objects && inside && !reader->exhausted; i++) {
            inside = 0 <= starts[i] && starts[i] <= ends[i] && ends[i] <= text->len;
            if (!inside) break;
            reader->at = (const char *)text->buf + starts[i];
            reader->end = (const char *)text->buf + ends[i];
            if (ends[i] - starts[i] <= INT32_MAX && read_row(reader))
                reader->row++;
            else
                doubtful[doubts++] = i;
        }
        Py_END_ALLOW_THREADS;
        if (!inside) {
            PyErr_SetString(PyExc_ValueError, "an object begins or ends outside of the text");
        } else if (reader->exhausted) {
            PyErr_NoMemory();
        } else if (read_delayed(reader) && append_buffers(buffers, reader->nodes, reader->nodes, reader->row)) {
            result = Py_BuildValue("LOy#", (long long)reader->row, buffers, (const char *)doubtful, (Py_ssize_t)(doubts * 8));
        }
    }
    free(doubtful);
    free(reader->numbers);
    Py_XDECREF(buffers);
    return result;
}

PyDoc_STRVAR(read_doc, "read(text, starts, ends, plan, nodes, ascii) -> (rows, buffers, doubtful)\n\n"
                       "Reads the objects of a text that are plain: see json_columns.py.");

static PyObject *read_columns(PyObject *module, PyObject *arguments) {
    (void)module;
    Py_buffer text, starts, ends;
    PyObject *plan, *result = NULL;
    int count, ascii;
    if (!PyArg_ParseTuple(arguments, "y*y*y*O!ip", &text, &starts, &ends, &PyTuple_Type, &plan, &count, &ascii)) return NULL;
    int64_t objects = starts.len / 8;
    Node *nodes = count > 0 && ends.len == starts.len ? calloc((size_t)count, sizeof *nodes) : NULL;
    if (!nodes) {
        PyErr_SetString(PyExc_ValueError, "needs at least one node, and an end for each start");
    } else if (lay_out(plan, nodes, 0, 1, count) >= 0) {
        bool enough = true;
        for (int i = 0; i < count && enough; i++) enough = allocate(&nodes[i], objects);
        Reader reader = {.nodes = nodes, .count = count, .ascii = ascii};
        result = enough ? read_all(&reader, &text, starts.buf, ends.buf, objects) : PyErr_NoMemory();
    }
    if (nodes) release(nodes, count);
    PyBuffer_Release(&text);
    PyBuffer_Release(&starts);
    PyBuffer_Release(&ends);
    return result;
}

static PyObject *of_positions(const Positions *positions) {
    return PyBytes_FromStringAndSize((const char *)positions->all, (Py_ssize_t)(positions->count * 8));
}

static PyObject *of_marks(const Marks *marks, PyObject *levels) {
    PyObject *found = PyTuple_New(PyTuple_Size(levels));
    for (Py_ssize_t i = 0; found && i < PyTuple_Size(levels); i++) {
        long level = PyLong_AsLong(PyTuple_GetItem(levels, i));
        if (level < 0 || level >= MOST_DEPTH) {
            if (!PyErr_Occurred()) PyErr_SetString(PyExc_ValueError, "a level is too deep");
            Py_CLEAR(found);
            break;
        }
        PyObject *pair = Py_BuildValue("NN", of_positions(&marks->begins[level]), of_positions(&marks->ends[level]));
        if (!pair || PyTuple_SetItem(found, i, pair) < 0) Py_CLEAR(found);
    }
    return found ? Py_BuildValue("NNN", found, of_positions(&marks->commas), of_positions(&marks->numbers)) : NULL;
}

PyDoc_STRVAR(spans_doc, "spans(text, levels, within) -> (((begins, ends), ...), commas, numbers) or None\n\n"
                        "Where the objects and arrays of a text begin and end: see `spans_and_commas` in json_text.py.\n"
                        "None where anything but white space, commas and closing brackets stands between those of level 0, or one is in doubt.");

static PyObject *find_spans(PyObject *module, PyObject *arguments) {
    (void)module;
    Py_buffer text;
    PyObject *levels, *result = NULL;
    int within;
    if (!PyArg_ParseTuple(arguments, "y*O!i", &text, &PyTuple_Type, &levels, &within)) return NULL;
    Marks *marks = calloc(1, sizeof *marks);
    if (!marks || within >= MOST_DEPTH) {
        PyBuffer_Release(&text);
        free(marks);
        return PyErr_NoMemory();
    }
    marks->text = text.buf;
    marks->within = within < 0 ? -2 : within;
    marks->enough = true;
    Reader reader = {.at = text.buf, .end = (const char *)text.buf + text.len};
    bool plain = text.len <= INT32_MAX;
    Py_BEGIN_ALLOW_THREADS;
    while (plain && marks->enough) {
        char found = after_space(&reader);
        while (found == ',' || found == ']') {
            reader.at++;
            found = after_space(&reader);
        }
        if (reader.at == reader.end) break;
        plain = (found == '{' || found == '[') && (pass_over(&reader, marks) || reader.at == reader.end);
    }
    Py_END_ALLOW_THREADS;
    if (!marks->enough)
        PyErr_NoMemory();
    else
        result = plain ? of_marks(marks, levels) : Py_NewRef(Py_None);
    for (int i = 0; i < MOST_DEPTH; i++) {
        free(marks->begins[i].all);
        free(marks->ends[i].all);
    }
    free(marks->commas.all);
    free(marks->numbers.all);
    free(marks);
    PyBuffer_Release(&text);
    return result;
}

/* Writes the array that a reader stands at as an object, with names before its values; false if it has more or fewer, or one is in doubt. */
static bool write_named(Reader *reader, char **to, const Text *names, Py_ssize_t count) {
    char *end = *to;
    if (!take(reader, '[')) return false;
    for (Py_ssize_t i = 0; i < count; i++) {
        const char *begin = reader->at;
        if (!pass_value(reader)) return false;
        char after = after_space(reader);
        if (after != (i + 1 < count ? ',' : ']')) return false;
        *end++ = i ? ',' : '{';
        memcpy(end, names[i].begin, names[i].length);
        end += names[i].length;
        memcpy(end, begin, (size_t)(reader->at - begin));
        end += reader->at++ - begin;
    }
    if (reader->at != reader->end) return false;
    *end++ = '}';
    *to = end;
    return true;
}

PyDoc_STRVAR(named_doc, "named(text, starts, ends, names) -> (text, bounds)\n\n"
                        "The arrays of a text as objects, one after another, and where each begins and the last ends.\n"
                        "Names are as they stand before a value, at least one of them. Arrays of another length, or in doubt, stay what they are.");

static PyObject *name_values(PyObject *module, PyObject *arguments) {
    (void)module;
    Py_buffer text, starts, ends;
    PyObject *names, *result = NULL;
    if (!PyArg_ParseTuple(arguments, "y*y*y*O!", &text, &starts, &ends, &PyTuple_Type, &names)) return NULL;
    Py_ssize_t count = PyTuple_Size(names), rows = starts.len / 8;
    const int64_t *first = starts.buf, *last = ends.buf;
    Text *words = calloc((size_t)count + 1, sizeof *words);
    int64_t each = 2, room = 1; /* room for all arrays, however long they become */
    bool good = words && count > 0 && ends.len == starts.len;
    for (Py_ssize_t i = 0; good && i < count; i++) {
        PyObject *name = PyTuple_GetItem(names, i);
        char *begin;
        Py_ssize_t length;
        good = PyBytes_AsStringAndSize(name, &begin, &length) == 0;
        if (good) words[i] = (Text){.begin = begin, .length = (uint32_t)length};
        if (good) each += length;
    }
    for (Py_ssize_t i = 0; good && i < rows; i++) {
        good = 0 <= first[i] && first[i] <= last[i] && last[i] <= text.len;
        room += last[i] - first[i] + each;
    }
    char *out = good ? malloc((size_t)room) : NULL;
    int64_t *bounds = good ? malloc(((size_t)rows + 1) * sizeof *bounds) : NULL;
    if (!good) {
        if (!PyErr_Occurred()) PyErr_SetString(PyExc_ValueError, "needs names, and an end in the text for each start");
    } else if (!out || !bounds) {
        PyErr_NoMemory();
    } else {
        char *to = out;
        Py_BEGIN_ALLOW_THREADS;
        for (Py_ssize_t i = 0; i < rows; i++) {
            Reader reader = {.at = (const char *)text.buf + first[i], .end = (const char *)text.buf + last[i]};
            bounds[i] = to - out;
            if (last[i] - first[i] > INT32_MAX || !write_named(&reader, &to, words, count)) {
                memcpy(to, (const char *)text.buf + first[i], (size_t)(last[i] - first[i]));
                to += last[i] - first[i];
            }
        }
        Py_END_ALLOW_THREADS;
        bounds[rows] = to - out;
        result = Py_BuildValue("y#y#", out, (Py_ssize_t)(to - out), (const char *)bounds, (rows + 1) * 8);
    }
    free(out);
    free(bounds);
    free(words);
    PyBuffer_Release(&text);
    PyBuffer_Release(&starts);
    PyBuffer_Release(&ends);
    return result;
}

PyDoc_STRVAR(next_doc, "next_places(text, octet, positions) -> places\n\n"
                       "Of each position the first place, from it on, where an octet stands; the end of the text if there is none.");

static PyObject *find_next(PyObject *module, PyObject *arguments) {
    (void)module;
    Py_buffer text, positions;
    int octet;
    if (!PyArg_ParseTuple(arguments, "y*iy*", &text, &octet, &positions)) return NULL;
    int64_t count = positions.len / 8, size = text.len;
    const int64_t *from = positions.buf;
    PyObject *result = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(count * 8));
    if (result) {
        int64_t *to = (int64_t *)(void *)PyBytes_AsString(result);
        const char *begin = text.buf;
        int64_t free_from = 0, place = -1; /* the octet does not stand between these two, which spares looking twice */
        bool inside = true;
        Py_BEGIN_ALLOW_THREADS;
        for (int64_t i = 0; i < count; i++) {
            int64_t position = from[i];
            inside = 0 <= position && position <= size;
            if (!inside) break;
            if (position < free_from || position > place) {
                int64_t limit = position < free_from ? free_from : size;
                const char *found = memchr(begin + position, octet, (size_t)(limit - position));
                if (found)
                    place = found - begin;
                else if (limit == size)
                    place = size;
                free_from = position;
            }
            to[i] = place;
        }
        Py_END_ALLOW_THREADS;
        if (!inside) {
            Py_CLEAR(result);
            PyErr_SetString(PyExc_ValueError, "a position is outside of the text");
        }
    }
    PyBuffer_Release(&text);
    PyBuffer_Release(&positions);
    return result;
}

static PyMethodDef methods[] = {
    {"read", read_columns, METH_VARARGS, read_doc},
    {"spans", find_spans, METH_VARARGS, spans_doc},
    {"named", name_values, METH_VARARGS, named_doc},
    {"next_places", find_next, METH_VARARGS, next_doc},
    {NULL, NULL, 0, NULL},
};


static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_scan", "What takes a look at every octet of a text.", 0, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__scan(void) { return PyModule_Create(&definition); }
