/*
 * Text in JSON documents: names on disk are bytes, JSON is UTF-8.  What is
 * valid UTF-8 stays, every other byte XX becomes the escape \udcXX, as Python's
 * surrogateescape has it, so that no two names look alike.
 */
#ifndef JSON_TEXT_H
#define JSON_TEXT_H

struct json_object;

/* A string that is written so; NULL: no memory. */
struct json_object *json_text(const char *text);

#endif
