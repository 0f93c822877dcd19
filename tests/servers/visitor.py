"""Somebody at the other end of HTTP: keeps cookies, sends JSON, forms and files. Standard library only."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.message import Message
from http.cookiejar import CookieJar
from typing import Any
from urllib.parse import urlencode

File = tuple[str, str, bytes]  # form field, file name, content


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Message
    body: bytes
    url: str

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")

    def json(self) -> Any:
        return json.loads(self.body)

    def expect(self, status: int) -> Answer:
        """This answer, if its status is the expected one; else an AssertionError that shows what came instead."""
        assert self.status == status, f"{self.url} answered {self.status}, not {status}: {self.text[:2000]}"
        return self


class Visitor:
    """`token` (REST) or `sign_in` (pages and admin) make a visitor somebody. HTTP errors are answers here."""

    def __init__(self, base: str, token: str | None = None) -> None:
        self.base = base
        self.token = token
        # Sent with every request, beside what it needs.
        self.headers: dict[str, str] = {}
        self._cookies = CookieJar()
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(self._cookies)
        )

    def get(self, path: str, query: Mapping[str, Any] | None = None, timeout: float = 30) -> Answer:
        return self.request("GET", f"{path}?{urlencode(query, doseq=True)}" if query else path, timeout=timeout)

    def post(
        self,
        path: str,
        data: Any = None,
        *,
        form: Mapping[str, Any] | None = None,
        files: Sequence[File] = (),
        timeout: float = 30,
    ) -> Answer:
        """JSON from `data`, or a form with `form` fields and `files`."""
        return self.request("POST", path, data, form=form, files=files, timeout=timeout)

    def patch(self, path: str, data: Any) -> Answer:
        return self.request("PATCH", path, data)

    def delete(self, path: str) -> Answer:
        return self.request("DELETE", path)

    def request(
        self,
        method: str,
        path: str,
        data: Any = None,
        *,
        form: Mapping[str, Any] | None = None,
        files: Sequence[File] = (),
        timeout: float = 30,
    ) -> Answer:
        url = path if path.startswith("http") else self.base + path
        body, headers = encode(data, form, files)
        headers |= self.headers
        if self.token:
            headers["Authorization"] = f"Token {self.token}"
        if csrf := self.cookie("csrftoken"):
            headers["X-CSRFToken"] = csrf
        headers["Referer"] = self.base
        request = urllib.request.Request(url, body, headers, method=method)  # noqa: S310 - loopback
        try:
            with self._opener.open(request, timeout=timeout) as response:
                return Answer(response.status, response.headers, response.read(), response.url)
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.headers, error.read(), url)

    def cookie(self, name: str) -> str | None:
        return next((cookie.value for cookie in self._cookies if cookie.name == name), None)

    def sign_in(self, username: str, password: str, path: str = "/admin/login/") -> Visitor:
        """Sign in through a login form, as a person would."""
        page = self.get(path).expect(200)
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
        fields = {"username": username, "password": password, "csrfmiddlewaretoken": token[1] if token else ""}
        self.post(path, form=fields).expect(200)
        assert self.cookie("sessionid"), f"{path} did not let {username} in"
        return self


def encode(data: Any, form: Mapping[str, Any] | None, files: Sequence[File]) -> tuple[bytes | None, dict[str, str]]:
    """A request's body and headers."""
    if form is None and not files:
        if data is None:
            return None, {}
        return json.dumps(data).encode(), {"Content-Type": "application/json"}
    boundary = uuid.uuid4().hex
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in (form or {}).items()
    ]
    for field, filename, content in files:
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"; filename="{filename}"\r\n'
        parts.append(f"{head}Content-Type: application/octet-stream\r\n\r\n".encode() + content + b"\r\n")
    body = b"".join([*parts, f"--{boundary}--\r\n".encode()])
    return body, {"Content-Type": f"multipart/form-data; boundary={boundary}"}
