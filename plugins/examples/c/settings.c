// Just enough of JSON for an object of lists of strings. Nothing nests deeper, so nothing recurses.
//
// The host hands over valid UTF-8. Strings are unescaped where they stand: no escape is shorter than what it stands for.

#include "settings.h"

#include <stdlib.h>
#include <string.h>

struct reader {
    uint8_t *at;
    uint8_t *end;
};

static void skip_space(struct reader *json) {
    while (json->at < json->end && memchr(" \t\n\r", *json->at, 4) != NULL) {
        json->at++;
    }
}

// Steps over white space and, if it comes next, over one character.
static bool take(struct reader *json, uint8_t wanted) {
    skip_space(json);
    if (json->at == json->end || *json->at != wanted) {
        return false;
    }
    json->at++;
    return true;
}

// Four hexadecimal digits; -1 if they are not.
static long take_hex(struct reader *json) {
    long code = 0;
    for (int i = 0; i < 4; i++) {
        const char *digits = "0123456789abcdef";
        const char *digit = json->at < json->end ? memchr(digits, *json->at | 0x20, 16) : NULL;
        if (digit == NULL || *json->at < '0') {
            return -1;
        }
        code = code * 16 + (digit - digits);
        json->at++;
    }
    return code;
}

// What follows \u, with the second half of a surrogate pair; -1 if it is no character.
static long take_character(struct reader *json) {
    long code = take_hex(json);
    if (code < 0xd800 || code > 0xdfff) {
        return code;
    }
    bool pair = code < 0xdc00 && json->end - json->at >= 2 && json->at[0] == '\\' && json->at[1] == 'u';
    if (!pair) {
        return -1;
    }
    json->at += 2;
    long low = take_hex(json);
    return low >= 0xdc00 && low <= 0xdfff ? 0x10000 + (code - 0xd800) * 0x400 + (low - 0xdc00) : -1;
}

static uint8_t *put_utf8(uint8_t *to, long code) {
    if (code < 0x80) {
        *to++ = (uint8_t)code;
        return to;
    }
    int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static const uint8_t lead[] = {0, 0xc0, 0xe0, 0xf0};
    *to++ = (uint8_t)(lead[more] | code >> 6 * more);
    while (more-- > 0) {
        *to++ = (uint8_t)(0x80 | (code >> 6 * more & 0x3f));
    }
    return to;
}

static bool take_string(struct reader *json, policy_string_t *text) {
    if (!take(json, '"')) {
        return false;
    }
    uint8_t *to = text->ptr = json->at;
    while (json->at < json->end && *json->at >= 0x20) {
        uint8_t c = *json->at++;
        if (c == '"') {
            text->len = (size_t)(to - text->ptr);
            return true;
        }
        if (c != '\\') {
            *to++ = c;
            continue;
        }
        uint8_t escape = json->at < json->end ? *json->at++ : 0;
        static const char escapes[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
        const char *plain = memchr(escapes, escape, sizeof escapes - 1);
        long code = plain != NULL ? meant[plain - escapes] : escape == 'u' ? take_character(json) : -1;
        if (code < 0) {
            return false;
        }
        to = put_utf8(to, code);
    }
    return false;
}

// A list of strings of 1 to 253 bytes.
static bool take_strings(struct reader *json, policy_list_string_t *texts) {
    if (!take(json, '[')) {
        return false;
    }
    if (take(json, ']')) {
        return true;
    }
    do {
        texts->ptr = realloc(texts->ptr, (texts->len + 1) * sizeof *texts->ptr);
        policy_string_t *text = &texts->ptr[texts->len++];
        if (!take_string(json, text) || text->len == 0 || text->len > 253) {
            return false;
        }
    } while (take(json, ','));
    return take(json, ']');
}

static const char *unknown(policy_string_t name) {
    static const char before[] = "unknown field `", after[] = "`, expected `containers` or `namespaces`";
    static char why[sizeof before + 63 + sizeof after];
    size_t len = name.len < 63 ? name.len : 63;
    while (len < name.len && (name.ptr[len] & 0xc0) == 0x80) {
        // Not within a character: what is returned has to be UTF-8.
        len--;
    }
    memcpy(why, before, sizeof before - 1);
    memcpy(why + sizeof before - 1, name.ptr, len);
    memcpy(why + sizeof before - 1 + len, after, sizeof after);
    return why;
}

// One setting, whose name was read, into the list that it belongs to. Returns NULL, or what is wrong.
static const char *take_setting(struct reader *json, policy_string_t name, struct settings *settings) {
    for (size_t i = 0; i < SETTINGS; i++) {
        struct setting *setting = &settings->all[i];
        if (name.len != strlen(setting->name) || memcmp(name.ptr, setting->name, name.len) != 0) {
            continue;
        }
        bool is_first = !setting->is_set;
        setting->is_set = true;
        setting->patterns = (policy_list_string_t){NULL, 0};
        return is_first && take(json, ':') && take_strings(json, &setting->patterns) ? NULL : setting->wanted;
    }
    return unknown(name);
}

const char *read_settings(policy_string_t *text, struct settings *settings) {
    struct reader json = {text->ptr, text->ptr + text->len};
    if (!take(&json, '{')) {
        return "the settings must be an object such as {\"containers\": [\"istio-proxy\"]}";
    }
    bool is_empty = take(&json, '}');
    while (!is_empty) {
        policy_string_t name;
        if (!take_string(&json, &name)) {
            return "the settings are no JSON";
        }
        const char *why = take_setting(&json, name, settings);
        if (why != NULL) {
            return why;
        }
        if (take(&json, '}')) {
            break;
        }
        if (!take(&json, ',')) {
            return "the settings are no JSON";
        }
    }
    skip_space(&json);
    return json.at == json.end ? NULL : "the settings are no JSON";
}
