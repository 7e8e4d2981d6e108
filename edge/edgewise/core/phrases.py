"""Phrases by which models refuse or say that what they know is old, and names of languages, in the languages most used.

They are whole turns of phrase rather than words: "i can't help with" refuses, "i can't help but" does not, and "i'm
sorry to hear" is no refusal either. Text and phrases are compared byte by byte, backwards from the newest byte.
"""

from edgewise.core.types import U8

REFUSAL, STALE_KNOWLEDGE, LANGUAGE_NAME = range(3)

REFUSALS_BY_LANGUAGE = {
    "en": """
        i can't assist with|i can't assist you|i cannot assist|i can't help with|i can't help you|i cannot help with
        i cannot help you|i'm not able to help|i am not able to help|i'm not able to assist|i am not able to assist
        i'm not able to provide|i am not able to provide|i'm unable to assist|i am unable to assist|i'm unable to help
        i am unable to help|i'm unable to provide|i am unable to provide|i'm unable to comply|i am unable to comply
        i can't provide|i cannot provide|i can't comply|i cannot comply|i cannot fulfil|i can't engage
        i cannot engage|i can't create|i cannot create|i can't generate|i cannot generate|i can't write|i cannot write
        i can't discuss|i cannot discuss|i can't support|i cannot support|i can't do that|i cannot do that
        i can't answer|i cannot answer|i can't give|i cannot give|i can't identify|i cannot identify|i can't fulfil
        i will not provide|i won't provide|i won't help|i won't assist|i will not help|i will not assist
        i'm not comfortable|i am not comfortable|as an ai language model, i can't|as an ai language model, i cannot
        as an ai language model, i'm not able|as an ai language model, i am not able
        as an ai, i can't|as an ai, i cannot|as an ai model, i cannot|as an ai assistant, i cannot
        it is not appropriate for me|it's not appropriate for me
        i must decline to|i have to decline to|i must respectfully decline
    """,
    "es": """
        no puedo ayudarte con|no puedo ayudar con|no puedo ayudarle|no puedo asistir|no puedo proporcionar
        no puedo cumplir|lo siento, pero no puedo|lo siento, no puedo|lamento no poder|no me es posible ayudar
        no puedo responder
    """,
    "fr": """
        je ne peux pas vous aider|je ne peux pas t'aider|je ne peux pas fournir|je ne peux pas répondre
        je ne suis pas en mesure de|désolé, mais je ne|désolé, je ne peux|désolée, mais je ne|désolée, je ne peux
        il m'est impossible de
    """,
    "de": """
        dabei kann ich nicht helfen|dabei kann ich ihnen nicht|dabei kann ich dir nicht|das kann ich nicht tun
        ich kann ihnen dabei nicht|ich kann dir dabei nicht|ich kann dir nicht helfen|ich kann ihnen nicht helfen
        tut mir leid, aber ich kann|tut mir leid, ich kann
        ich kann diese anfrage nicht|ich kann darauf nicht|ich kann keine hilfe
    """,
    "it": """
        non posso aiutarti|non posso aiutarla|non posso fornire|mi dispiace, ma non posso|mi dispiace, non posso
        mi spiace, ma non posso|non sono in grado di aiutar|non sono in grado di fornir
    """,
    "pt": """
        não posso ajudar|não posso ajudá|não posso fornecer|sinto muito, mas não posso|desculpe, mas não posso
        desculpe, não posso|lamento, mas não posso|não consigo ajudar|não consigo te ajudar|não posso responder
    """,
    "nl": """
        ik kan je daar niet|ik kan je hier niet|ik kan u hier niet|ik kan je niet helpen|ik kan u niet helpen
        het spijt me, maar ik kan|sorry, maar ik kan|sorry, ik kan niet
    """,
    "pl": """
        nie mogę pomóc|nie mogę ci pomóc|przykro mi, ale nie mogę|przepraszam, ale nie mogę
        nie jestem w stanie pomóc|nie mogę spełnić|nie mogę udzielić
    """,
    "tr": """
        üzgünüm, ama bu|üzgünüm, ancak bu|üzgünüm, bu konuda|bu konuda yardımcı olamam|bu isteği yerine getiremem
        yardımcı olamıyorum|bu konuda size yardımcı olamam
    """,
    "id": """
        maaf, saya tidak dapat|maaf, saya tidak bisa|maaf, tetapi saya tidak|saya tidak dapat membantu
        saya tidak bisa membantu
    """,
    "vi": """
        xin lỗi, tôi không thể|xin lỗi, nhưng tôi không thể|tôi không thể giúp|tôi không thể hỗ trợ
        tôi không thể cung cấp
    """,
    "ru": """
        я не могу помочь|я не могу вам помочь|я не могу тебе помочь|я не могу предоставить
        я не могу выполнить|я не могу ответить|извините, но я не могу|извините, я не могу|к сожалению, я не могу
        простите, но я не могу|не могу помочь с|не могу с этим помочь
    """,
    "zh": """
        我无法帮助|我不能帮助|我无法协助|我无法提供|我不能提供|我无法满足|我无法回答
        抱歉，我无法|抱歉，我不能|抱歉，但我无法|抱歉，但我不能|对不起，我无法|对不起，我不能|对不起，但我无法
        对不起，但我不能|我無法幫助|我無法協助|我無法提供|我不能協助|抱歉，我無法|對不起，我無法
    """,
    "ja": """
        お手伝いできません|お手伝いすることはできません|お答えできません|お答えすることはできません|ご協力できません|お応えできません
        提供することはできません|申し訳ありませんが、そのご|申し訳ありませんが、そのような|申し訳ございませんが、そのご
        申し訳ございませんが、そのような|対応できません|対応することはできません
    """,
    "ko": """
        도와드릴 수 없|도움을 드릴 수 없|제공할 수 없|제공해 드릴 수 없|답변할 수 없|답변드릴 수 없|응답할 수 없
        죄송하지만 그 요청|죄송하지만, 그 요청|죄송하지만 이 요청|죄송하지만, 이 요청
    """,
    "ar": """
        لا أستطيع مساعدتك|لا يمكنني مساعدتك|لا أستطيع المساعدة|لا يمكنني المساعدة|لا يمكنني تقديم|لا أستطيع تقديم
        عذرًا، لا يمكنني|عذراً، لا يمكنني|آسف، لا أستطيع|آسف، لكن لا أستطيع|آسف، لكن لا يمكنني|عذرًا، لا أستطيع
    """,
    "hi": """
        मैं इसमें मदद नहीं कर|मैं आपकी मदद नहीं कर|मैं इसमें आपकी मदद नहीं|मैं यह नहीं कर सकत|माफ़ कीजिए, मैं इस
        क्षमा करें, मैं इस|क्षमा करें, लेकिन मैं इस
    """,
}

STALE_BY_LANGUAGE = {
    "en": """
        as of my last update|as of my last knowledge|as of my last training|my knowledge cutoff|my knowledge cut-off
        my last knowledge update|my training data only|my training data goes|my training data ends
        my training cutoff|my training cut-off|my training only goes|my knowledge only goes|my knowledge only extends
        my knowledge is limited to|as of my last available|i don't have access to real-time
        i do not have access to real-time|i don't have real-time|i do not have real-time|i don't have access to current
        i do not have access to current|i don't have access to live|i can't access real-time|i cannot access real-time
        i can't provide real-time|i cannot provide real-time|i'm unable to provide real-time|i can't browse the
        i cannot browse the|i don't have access to the internet|i do not have access to the internet
        i'm not able to browse the|i am not able to browse the|i'm unable to browse the
        i don't have the ability to browse|i do not have the ability to browse
    """,
    "es": """
        hasta mi última actualización|según mi última actualización|mi fecha de corte|mi conocimiento llega hasta
        no tengo acceso a información en tiempo real|no tengo acceso a datos en tiempo real|no tengo acceso a internet
    """,
    "fr": """
        à ma dernière mise à jour|depuis ma dernière mise à jour|mes connaissances s'arrêtent
        je n'ai pas accès à des informations en temps réel|je n'ai pas accès aux informations en temps réel
        je n'ai pas accès à internet|mes connaissances se limitent
    """,
    "de": """
        mein wissensstand|mein kenntnisstand reicht|stand meines letzten updates|mein wissen reicht bis
        meine trainingsdaten reichen|meine trainingsdaten enden|ich habe keinen zugriff auf echtzeit
        ich habe keinen zugang zu echtzeit|ich habe keinen zugriff auf aktuelle|ich habe keinen zugriff auf das internet
    """,
    "it": """
        al mio ultimo aggiornamento|le mie conoscenze si fermano|le mie conoscenze sono aggiornate
        non ho accesso a informazioni in tempo reale|non ho accesso a dati in tempo reale|non ho accesso a internet
    """,
    "pt": """
        até a minha última atualização|até minha última atualização|meu conhecimento vai até|meu conhecimento é limitado
        não tenho acesso a informações em tempo real|não tenho acesso a dados em tempo real|não tenho acesso à internet
    """,
    "nl": """
        mijn laatste kennisupdate|op het moment van mijn laatste update|mijn kennis reikt tot|mijn kennis loopt tot
        ik heb geen toegang tot real-time|ik heb geen toegang tot realtime|ik heb geen toegang tot actuele
        ik heb geen toegang tot het internet
    """,
    "pl": """
        moja wiedza sięga|moja wiedza kończy się|nie mam dostępu do informacji w czasie rzeczywistym
        nie mam dostępu do danych w czasie rzeczywistym|nie mam dostępu do internetu|mojej ostatniej aktualizacji wiedzy
    """,
    "tr": """
        son güncelleme tarihim|bilgi kesim tarihim|gerçek zamanlı bilgilere erişimim yok
        gerçek zamanlı verilere erişimim yok|internete erişimim yok
    """,
    "id": """
        pembaruan terakhir saya|saya tidak memiliki akses ke informasi real-time|pengetahuan saya terbatas
        saya tidak memiliki akses ke internet
    """,
    "vi": """
        lần cập nhật cuối cùng của tôi|tôi không có quyền truy cập vào thông tin thời gian thực
        tôi không thể truy cập internet|tôi không có quyền truy cập internet
    """,
    "ru": """
        на момент моего последнего обновления|мои знания ограничены|мои знания заканчиваются
        у меня нет доступа к актуальн|у меня нет доступа к интернету|у меня нет доступа к данным в реальном времени
        у меня нет доступа к информации в реальном времени
    """,
    "zh": """
        截至我的知识|截至我最后一次更新|截至我上次更新|我的知识截止|我的知识库截止|我的训练数据截止|我的知识更新至|我无法访问实时|我无法获取实时
        我无法访问互联网|我无法联网|截至我的訓練|我的知識截止|我無法取得即時|我無法存取即時
    """,
    "ja": """
        私の知識は20|私の知識は、20|私の最終更新|最後の知識更新|私の学習データは20|リアルタイムの情報にアクセスでき
        リアルタイムの情報にはアクセスでき|リアルタイムの情報を提供することはできません|インターネットにアクセスできません
        インターネットにアクセスすることはできません
    """,
    "ko": """
        제 지식은 20|저의 지식은 20|제 마지막 업데이트|실시간 정보에 접근할 수 없|실시간 정보를 제공할 수 없
        인터넷에 접속할 수 없|인터넷에 접근할 수 없
    """,
    "ar": """
        آخر تحديث لي|آخر تحديث لمعرفتي|آخر تحديث لمعلوماتي|لا أستطيع الوصول إلى الإنترنت
        ليس لدي إمكانية الوصول إلى المعلومات|لا يمكنني الوصول إلى الإنترنت|لا يمكنني الوصول إلى المعلومات في الوقت
    """,
    "hi": """
        मेरे अंतिम अपडेट|मेरे पास वास्तविक समय|मेरे पास रीयल-टाइम|मेरे पास इंटरनेट
    """,
}


LANGUAGE_NAMES = {
    "en": "english|spanish|french|german|italian|portuguese|dutch|in polish|into polish|turkish|russian"
    "|chinese|japanese|korean|arabic|hindi",
    "es": "inglés|español|castellano|francés|alemán|portugués|holandés|polaco|turco|ruso|chino|japonés|coreano|árabe",
    "fr": "anglais|espagnol|français|allemand|italien|portugais|néerlandais|polonais|russe|japonais|coréen",
    "de": "englisch|spanisch|französisch|deutsch|portugiesisch|niederländisch|polnisch|russisch|chinesisch",
    "it": "inglese|spagnolo|francese|tedesco|olandese|polacco|cinese|giapponese",
    "pt": "inglês|espanhol|francês|alemão|português|japonês|chinês",
    "nl": "engels|spaans|frans |frans.|duits|italiaans|portugees|chinees|japans",
    "pl": "angielsk|hiszpańsk|francusk|niemieck|włosk|portugalsk|niderlandzk|rosyjsk|chińsk|japońsk|ukraińsk",
    "tr": "ingilizce|ispanyolca|fransızca|almanca|türkçe|rusça|arapça|çince|japonca",
    "id": "bahasa ",
    "vi": "tiếng ",
    "ru": "английск|испанск|французск|немецк|итальянск|португальск|русск|китайск|японск|украинск|турецк|арабск",
    "zh": "英文|英语|英語|中文|汉语|漢語|法语|法語|德语|德語|日语|日文|韩语|韓文|俄语|俄語|西班牙语|西班牙語|阿拉伯语",
    "ja": "日本語|中国語|韓国語|フランス語|ドイツ語|スペイン語|ロシア語|イタリア語|ポルトガル語",
    "ko": "영어|한국어|일본어|중국어|프랑스어|독일어|스페인어|러시아어",
    "ar": "الإنجليزية|الانجليزية|العربية|الفرنسية|الألمانية|الإسبانية|بالإنجليزي|بالعربي",
    "hi": "अंग्रेज़ी|अंग्रेजी|हिंदी|हिन्दी|फ़्रेंच",
}


def phrases_of(listed: dict[str, str]) -> list[str]:
    """Every phrase of every language."""
    return [
        phrase for text in listed.values() for line in text.split("\n") for phrase in line.strip().split("|") if phrase
    ]


def _spellings(phrase: str) -> set[str]:
    """The phrase as it stands and at the beginning of a sentence, each with straight and typographic apostrophes.

    Letters of ASCII are compared in lower case, so only others need their capitals spelled out.
    """
    first = phrase[0] if phrase[0].isascii() else phrase[0].upper()
    return {form.replace("'", mark) for form in (phrase, first + phrase[1:]) for mark in "'’"}


def _key(last: int, before: int) -> int:
    return (last * 31 + before) & 0xFF


_PHRASES = sorted(
    (_key(form.encode()[-1], form.encode()[-2]), form.encode(), kind)
    for kind, listed in (
        (REFUSAL, REFUSALS_BY_LANGUAGE),
        (STALE_KNOWLEDGE, STALE_BY_LANGUAGE),
        (LANGUAGE_NAME, LANGUAGE_NAMES),
    )
    for phrase in phrases_of(listed)
    for form in _spellings(phrase)
)
PHRASE_BYTES = tuple(byte for _, form, _ in _PHRASES for byte in form)
PHRASE_END = tuple(sum(len(form) for _, form, _ in _PHRASES[: index + 1]) for index in range(len(_PHRASES)))
PHRASE_LENGTH = tuple(len(form) for _, form, _ in _PHRASES)
PHRASE_KIND = tuple(kind for _, _, kind in _PHRASES)
FIRST_PHRASE = tuple(sum(key < first for key, _, _ in _PHRASES) for first in range(257))
"""Phrases are sorted by a hash of their last two bytes: where those of each hash begin."""


def phrase_at_end(ring: U8, length: int, kind: int) -> int:
    """How long the phrase of a kind is that a text ends with, in bytes; 0 where there is none.

    `ring`: the newest of the `length` bytes read so far, the byte number i at i modulo the ring's size, a power of two.
    """
    if length < 2:
        return 0
    last = len(ring) - 1
    key = (_lower(ring[(length - 1) & last]) * 31 + _lower(ring[(length - 2) & last])) & 0xFF
    for phrase in range(FIRST_PHRASE[key], FIRST_PHRASE[key + 1]):
        if PHRASE_KIND[phrase] == kind and PHRASE_LENGTH[phrase] <= length and _ends_with(ring, length, phrase):
            return PHRASE_LENGTH[phrase]
    return 0


def names_language(text: U8, length: int) -> bool:
    """Whether a text names a language, so that the answer may well be in another one than the text.

    `text`: a buffer whose size is a power of two, `length` bytes of it at most.
    """
    for end in range(1, length + 1):
        if phrase_at_end(text, end, LANGUAGE_NAME) > 0:
            return True
    return False


def _ends_with(ring: U8, length: int, phrase: int) -> bool:
    """Whether the text ends with the phrase, and does not begin it within a Latin word."""
    last = len(ring) - 1
    end = PHRASE_END[phrase]
    size = PHRASE_LENGTH[phrase]
    for back in range(1, size + 1):
        if _lower(ring[(length - back) & last]) != PHRASE_BYTES[end - back]:
            return False
    return size == length or not (_is_ascii_letter(PHRASE_BYTES[end - size]) and _continues_word(ring, length - size))


def _continues_word(ring: U8, at: int) -> bool:
    before = ring[(at - 1) & len(ring) - 1]
    return _is_ascii_letter(_lower(before))


def _lower(byte: int) -> int:
    return byte + 32 if 65 <= byte <= 90 else byte


def _is_ascii_letter(byte: int) -> bool:
    return 97 <= byte <= 122
