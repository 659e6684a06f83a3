#!/usr/bin/env python3
"""Templates of conversations, rendered by `transformers`.

    python3 scripts/reference/chat_templates.py              # writes crates/models/fixtures/chat-templates.json
    python3 scripts/reference/chat_templates.py FOLDER OUT   # the same of the templates `*.jinja` in a folder

Each template is one of ours that uses what published ones of a family use. Made with transformers 5.24.
"""

import json
import sys
from pathlib import Path

from transformers.utils.chat_template_utils import render_jinja_template

FIXTURE = Path(__file__).resolve().parents[2] / "crates/models/fixtures/chat-templates.json"

TEMPLATES = {
    "marked turns": """\
{% for message in messages %}
{{'<|open|>' + message['role'] + '\\n' + message['content'] + '<|close|>' + '\\n'}}
{% endfor %}
{% if add_generation_prompt %}{{ '<|open|>assistant\\n' }}{% endif %}""",
    "a system message of its own": """\
{% if messages[0]['role'] != 'system' %}{{ '<|open|>system\\nBe brief.<|close|>\\n' }}{% endif %}
{%- for message in messages -%}
    {{- '<|open|>' ~ message.role ~ '\\n' ~ message.content ~ '<|close|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|open|>assistant\\n' -}}{%- endif -%}""",
    "headers and trimming": """\
{% set loop_messages = messages %}{% for message in loop_messages %}
{% set content = '<|head|>' + message['role'] + '<|/head|>\\n\\n' + message['content'] | trim + '<|eot|>' %}
{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}
{% if add_generation_prompt %}{{ '<|head|>assistant<|/head|>\\n\\n' }}{% endif %}""",
    "turns must alternate": """\
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content'] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('roles must alternate user/assistant') }}
    {%- endif %}
    {%- if message['role'] == 'user' %}
        {%- if loop.last and system_message is defined %}
            {{- '[I]' + system_message + '\\n\\n' + message['content'] + '[/I]' }}
        {%- else %}
            {{- '[I]' + message['content'] + '[/I]' }}
        {%- endif %}
    {%- else %}
        {{- ' ' + message['content'].strip() + eos_token }}
    {%- endif %}
{%- endfor %}""",
    "another name for the assistant": """\
{{ bos_token }}{% for message in messages %}{% if message['role'] == 'assistant' %}{% set role = 'model' %}{% else %}\
{% set role = message['role'] %}{% endif %}{{ '<turn>' + role + '\\n' + message['content'] | trim + '</turn>\\n' }}\
{% endfor %}{% if add_generation_prompt %}{{'<turn>model\\n'}}{% endif %}""",
    "thoughts are cut out": """\
{%- set ns = namespace(last=-1, found=false) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages | length - 1) - loop.index0 %}
    {%- if not ns.found and message.role == 'user' and message.content is string and not message.content.startswith('<tool>') %}
        {%- set ns.last = index %}
        {%- set ns.found = true %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content = message.content %}
    {%- if message.role == 'assistant' and '</think>' in content and loop.index0 < ns.last %}
        {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
    {%- endif %}
    {{- loop.index0 ~ '|' ~ message.role ~ '|' ~ content ~ '\\n' }}
{%- endfor %}
{{- ns.last }}""",
    "data as JSON": """\
{%- macro shown(value) -%}[{{ value | tojson }}]{%- endmacro -%}
{{ shown({'name': 'Grüße <&> \\'x\\'', 'list': [1, 2.5, none, true], 'empty': {}}) }}
{{ messages | tojson }}
{{ messages[0] | tojson(indent=2) }}
{{ messages | map(attribute='role') | join(', ') }}
{{ messages | selectattr('role', 'equalto', 'user') | list | length }}""",
    "loops that stop": """\
{%- for message in messages %}
    {%- if message.role == 'system' %}{% continue %}{% endif %}
    {%- generation %}{{ message.content | upper }}{% endgeneration %}
    {%- if loop.index > 1 %}{% break %}{% endif %}
{%- endfor %}
{{- ' ' ~ (strftime_now('%Y') | length) ~ ('abc'[::-1]) ~ range(3) | list | length }}
{%- if tools is not none %}tools{% endif %}
{%- if messages[0].name is defined %}named{% endif %}
{%- if messages[0]['tool_calls'] %}calls{% endif %}
{{- messages[0].get('role', 'x') ~ messages[0].get('colour', 'none') }}
{%- for key, value in messages[0].items() %}{{ key }}={{ value | length }};{% endfor %}
{{- '%s and %d' | format('a', 3) }}
{{- 'a-b-c'.split('-') | join('+') }}{{ ' x '.strip() }}{{ 'xxay'.rstrip('y') }}{{ 'ab'.replace('a', 'c') }}""",
}

TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}
CONVERSATIONS = [
    [("user", "Hello!")],
    [("system", "Answer in rhymes."), ("user", " What is 2 + 2?\n"), ("assistant", "<think>\nhm\n</think>\n\nFour. "),
     ("user", "And in Grüße, 日本語 & <html>?")],
    [("user", "one"), ("user", "two")],
]


def rendered(template, messages):
    try:
        texts, _ = render_jinja_template(
            [messages], chat_template=template, add_generation_prompt=True, tools=None, documents=None, **TOKENS)
        return {"text": texts[0]}
    except Exception as error:
        return {"error": str(error)}


def main():
    templates, output = TEMPLATES, FIXTURE
    if len(sys.argv) > 2:
        templates = {path.name: path.read_text() for path in sorted(Path(sys.argv[1]).glob("*.jinja"))}
        output = Path(sys.argv[2])
    cases = []
    for name, template in templates.items():
        for conversation in CONVERSATIONS:
            messages = [{"role": role, "content": content} for role, content in conversation]
            cases.append({"name": name, "template": template, "messages": messages, **rendered(template, messages)})
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps({"tokens": TOKENS, "cases": cases}, indent=1, ensure_ascii=False) + "\n")
    print(len(cases), "cases,", sum("error" in case for case in cases), "refused")


main()
