"""Language identification, with the shipped table."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewise.core import language as core
from edgewise.core.language import (
    CANDIDATES,
    FIRST_CANDIDATE,
    LANGUAGES,
    SCRIPTS,
    UNDETERMINED,
    LanguageResult,
    LanguageScratch,
    LanguageTable,
    decode,
    identify,
    scripts_of,
)
from edgewise_classifier.language import read_table

TABLE = LanguageTable.from_bytes(read_table())
SCRATCH = LanguageScratch()

CODE = """def median(values):
    ordered = sorted(values)
    return ordered[len(ordered) // 2]
"""


def found(text, start=0):
    data = text if isinstance(text, bytes) else text.encode()
    result = LanguageResult()
    identify(data, start, len(data) - start, TABLE, SCRATCH, result)
    return result


def language(text):
    return LANGUAGES[found(text).language]


def script(text):
    return SCRIPTS[found(text).script]


def test_at_least_75_languages_and_every_one_has_a_script():
    assert len(LANGUAGES) >= 100
    assert len(set(LANGUAGES)) == len(LANGUAGES)
    assert all(scripts_of(name) for name in LANGUAGES[1:])
    assert {CANDIDATES[index] for index in range(len(CANDIDATES))} == set(range(1, len(LANGUAGES)))
    assert FIRST_CANDIDATE[-1] == len(CANDIDATES)


def test_the_table_stays_within_its_budget():
    assert LanguageTable.size <= 290_000


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("en", "could you tell me what the weather will be like tomorrow"),
        ("de", "kannst du mir bitte sagen, wann der nächste Zug fährt?"),
        ("fr", "est-ce que tu pourrais m'expliquer comment ça marche"),
        ("es", "necesito que me ayudes a escribir una carta para mi jefe"),
        ("pt", "você pode me ajudar a escrever um texto sobre a minha viagem?"),
        ("it", "mi puoi spiegare perché questo non funziona più?"),
        ("nl", "kun je me helpen met het schrijven van een brief aan mijn baas"),
        ("sv", "kan du hjälpa mig att skriva ett brev till min chef"),
        ("fi", "voisitko auttaa minua kirjoittamaan kirjeen pomolleni"),
        ("pl", "czy możesz mi powiedzieć, która jest godzina?"),
        ("cs", "můžeš mi prosím říct, kolik je hodin?"),
        ("hu", "meg tudnád mondani, hogy mennyi az idő?"),
        ("tr", "bana yarın havanın nasıl olacağını söyler misin"),
        ("vi", "bạn có thể giúp tôi viết một bức thư không"),
        ("sw", "tafadhali nisaidie kuandika barua kwa mkuu wangu wa kazi"),
        ("ru", "подскажи, пожалуйста, как лучше написать это письмо"),
        ("uk", "підкажи, будь ласка, як краще написати цього листа"),
        ("bg", "можеш ли да ми кажеш колко е часът сега"),
        ("ar", "هل يمكنك أن تساعدني في كتابة رسالة إلى مديري"),
        ("fa", "می‌توانی به من کمک کنی یک نامه بنویسم؟"),
        ("ur", "کیا آپ مجھے بتا سکتے ہیں کہ یہ کیسے کام کرتا ہے"),
        ("hi", "क्या आप मुझे बता सकते हैं कि यह कैसे काम करता है"),
        ("mr", "तुम्ही मला सांगू शकता का हे कसे काम करते"),
        ("ja", "明日の天気を教えてください"),
        ("zh", "请告诉我明天的天气怎么样"),
        ("ko", "내일 날씨가 어떤지 알려 주세요"),
        ("th", "ช่วยบอกหน่อยว่าพรุ่งนี้อากาศเป็นอย่างไร"),
        ("el", "μπορείς να μου πεις τι ώρα είναι;"),
        ("he", "אתה יכול להגיד לי מה השעה?"),
        ("hy", "կարո՞ղ ես ասել, թե ժամը քանիսն է"),
        ("ka", "შეგიძლია მითხრა, რომელი საათია?"),
        ("ta", "நாளை வானிலை எப்படி இருக்கும் என்று சொல்லுங்கள்"),
        ("bn", "আপনি কি আমাকে বলতে পারেন এটা কীভাবে কাজ করে"),
        ("km", "សូមជួយខ្ញុំសរសេរសំបុត្រ"),
    ],
)
def test_a_sentence_of_each(name, text):
    assert language(text) == name
    assert found(text).score >= 5000


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("en", "Why does this return None?\n```python\n" + CODE + "```\nPlease fix the function for me."),
        ("en", "what does os.path.join(a, b) do in Python"),
        ("en", r"Find the value of \frac{\sqrt{x}}{2} when $x^2 = 16$ and x is positive."),
        ("en", "Let g(x) = 1 / (1 + x^{3/2}), what is g'(x) when x = 1?\nA. -0.375\nB. 0.5\nC. 1.5"),
        ("en", r"Evaluate the sum \[\frac{1}{2^1} + \frac{2}{2^2} + \cdots\] and simplify."),
        ("en", "Find the sum of $\\sum_{n=1}^{\\infty} \\frac{1}{n^2}$ with `math.fsum(x_i)` in Python"),
        ("en", "See https://beispiel.example/das/ist/nicht/deutsch for the details of this feature"),
        ("de", "Warum liefert diese Funktion None?\n" + CODE + "\nBitte korrigiere den Fehler."),
        ("ja", "この関数のバグを直してください。\n" + CODE),
        ("ja", "第五条 乙は、甲の事前の書面による承諾なく、本契約上の地位を第三者に譲渡してはならない。"),
        ("ja", "民法第七百九条に基づく損害賠償請求の要件を説明してください"),
    ],
)
def test_code_mathematics_and_addresses_are_not_a_language(name, text):
    assert language(text) == name


@pytest.mark.parametrize(("name", "text"), [("en", "hello"), ("zh", "你好"), ("en", "set an alarm for 5 pm")])
def test_where_little_is_said_frequent_languages_win(name, text):
    assert language(text) == name


@pytest.mark.parametrize("text", ["$" * 600, "\\(" * 300, "`a" * 300, "$a" * 300])
def test_quotes_that_never_end(text):
    assert 0 <= found(text).score <= 10000


@pytest.mark.parametrize("text", [CODE, "x = y[i] + 3;", "{}();", "SELECT a_b FROM t_c WHERE d_e = 1;"])
def test_code_alone_is_sure_of_nothing(text):
    assert found(text).code >= 5000
    assert found(text).score < 5000


@pytest.mark.parametrize("text", ["", "   ", "12345", "3 + 4 = 7", "!?!", "🙂🙂", "https://example.com/a/b"])
def test_nothing_to_read_is_undetermined(text):
    assert found(text).language == UNDETERMINED
    assert found(text).score == 0


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("hi", "इसका हिंदी में अनुवाद करो: The parties agree that the lease shall end on the last day of the month."),
        ("th", "ช่วยสรุปข้อความนี้เป็นภาษาไทย: The committee will publish its findings next week, and members may comment."),
        ("ko", "이 문장을 번역해 줘: 契約は双方の署名によって成立する。"),
    ],
)
def test_the_users_own_words_count_more_than_what_was_pasted(name, text):
    assert language(text) == name


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Latn", "hello there"), ("Cyrl", "привет"), ("Arab", "مرحبا"), ("Hani", "你好"), ("Jpan", "こんにちは世界"),
        ("Hang", "안녕하세요"), ("Deva", "नमस्ते"), ("Grek", "γεια"), ("Hebr", "שלום"), ("Zyyy", "123"),
    ],
)  # fmt: skip
def test_the_script(name, text):
    assert script(text) == name


def test_the_histogram_gives_the_percent_of_each_script():
    result = found("abcdef жзик")
    assert result.histogram[SCRIPTS.index("Latn")] == 60
    assert result.histogram[SCRIPTS.index("Cyrl")] == 40


def test_every_script_name_is_one_of_the_histogram():
    assert len(SCRIPTS) == 32
    assert len(set(SCRIPTS)) == 32


def test_the_place_in_the_buffer_does_not_matter():
    text = b"kannst du mir bitte helfen"
    alone, later = found(text), LanguageResult()
    identify(b"xyz" + text + b"zyx", 3, len(text), TABLE, SCRATCH, later)
    assert later.to_bytes() == alone.to_bytes()


def test_case_does_not_matter():
    text = "Können Sie mir bitte helfen, diese Übung zu lösen"
    assert language(text.upper()) == language(text.lower()) == "de"


def test_a_long_text_is_read_at_both_ends_only():
    seen = set()

    class Watched(bytes):
        def __getitem__(self, index):
            seen.add(index)
            return super().__getitem__(index)

    text = Watched(b"the committee will publish its findings next week. " * 80)
    identify(text, 0, len(text), TABLE, SCRATCH, LanguageResult())
    assert len(seen) <= core.HEAD_BYTES + core.TAIL_BYTES + 8


@given(st.binary(max_size=700))
@settings(max_examples=60)
def test_any_bytes_are_read_within_bounds(data):
    result = LanguageResult()
    identify(data, 0, len(data), TABLE, SCRATCH, result)
    assert 0 <= result.language < len(LANGUAGES)
    assert 0 <= result.runner_up < len(LANGUAGES)
    assert 0 <= result.runner_up_score <= result.score <= 10000
    assert 0 <= result.code <= 10000
    assert sum(result.histogram) <= 100
    assert SCRATCH.count <= core.MAX_GRAMS


@given(st.text(min_size=1, max_size=60))
def test_decoding_gives_the_code_points(text):
    data, at, points = text.encode(), 0, []
    while at < len(data):
        decoded = decode(data, at, len(data))
        points.append(decoded >> 3)
        at += decoded & 7
    assert points == [ord(character) for character in text]


@given(st.binary(min_size=1, max_size=12))
def test_decoding_never_reads_past_the_end(data):
    at = 0
    while at < len(data):
        at += decode(data, at, len(data)) & 7
    assert at == len(data)


@pytest.mark.parametrize("text", ["hi", "ok", "yo", "si", "hm?"])
def test_a_short_word_decides_nothing(text):
    assert found(text).score < 5_000
