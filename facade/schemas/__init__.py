"""Requests and answers as structs: what is decoded, refused, sent and described in /openapi.json stands here."""
