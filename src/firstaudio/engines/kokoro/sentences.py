"""Sentences by which a voice is measured: some to take its statistics from, others to judge what came of it."""

from __future__ import annotations

ENGLISH = (
    "Good evening, and welcome to the river house.",
    "She asked whether the northern road was open, but nobody in the village knew.",
    "Seven grey ships left the harbour before the storm could reach the coast.",
    "Please wait a moment while I look for the right page.",
    "Yes, of course!",
    "The old clock above the door has not been right since the winter of nineteen forty seven.",
    "Would you rather have tea or coffee with your breakfast?",
    "Nothing is certain, he said quietly, and closed the book.",
)
SENTENCES = {
    "en-us": ENGLISH,
    "en-gb": ENGLISH,
    "es": (
        "Buenas tardes, y bienvenidos a la casa del río.",
        "Ella preguntó si el camino del norte estaba abierto, pero nadie lo sabía.",
        "Siete barcos grises salieron del puerto antes de la tormenta.",
        "Espere un momento mientras busco la página correcta.",
        "¿Prefiere usted té o café con el desayuno?",
        "Nada es seguro, dijo en voz baja, y cerró el libro.",
    ),
    "fr-fr": (
        "Bonsoir, et bienvenue à la maison de la rivière.",
        "Elle demanda si la route du nord était ouverte, mais personne ne le savait.",
        "Sept navires gris ont quitté le port avant la tempête.",
        "Attendez un instant, je cherche la bonne page.",
        "Préférez-vous du thé ou du café au petit déjeuner ?",
        "Rien n'est certain, dit-il doucement, et il ferma le livre.",
    ),
    "hi": (
        "नमस्ते, नदी वाले घर में आपका स्वागत है।",
        "उसने पूछा कि उत्तर की सड़क खुली है या नहीं, पर किसी को पता नहीं था।",
        "तूफ़ान आने से पहले सात जहाज़ बंदरगाह से निकल गए।",
        "कृपया एक क्षण रुकिए, मैं सही पन्ना खोजता हूँ।",
        "नाश्ते के साथ आप चाय लेंगे या कॉफ़ी?",
        "कुछ भी निश्चित नहीं है, उसने धीरे से कहा।",
    ),
    "it": (
        "Buonasera, e benvenuti nella casa sul fiume.",
        "Lei chiese se la strada del nord fosse aperta, ma nessuno lo sapeva.",
        "Sette navi grigie lasciarono il porto prima della tempesta.",
        "Aspetti un momento, cerco la pagina giusta.",
        "Preferisce il tè o il caffè a colazione?",
        "Niente è certo, disse piano, e chiuse il libro.",
    ),
    "pt-br": (
        "Boa noite, e bem-vindos à casa do rio.",
        "Ela perguntou se a estrada do norte estava aberta, mas ninguém sabia.",
        "Sete navios cinzentos deixaram o porto antes da tempestade.",
        "Espere um momento enquanto procuro a página certa.",
        "Você prefere chá ou café no café da manhã?",
        "Nada é certo, disse ele em voz baixa, e fechou o livro.",
    ),
}
NUM_HELD_OUT = 2  # the last ones judge, the others are measured
# What a stream begins with. None is measured: they judge.
SHORT_ENGLISH = ("No!", "Hello there.", "Thank you.", "One moment, please.", "What can I do for you?")
SHORT = {
    "en-us": SHORT_ENGLISH,
    "en-gb": SHORT_ENGLISH,
    "es": ("¡No!", "Hola a todos.", "Gracias.", "Un momento, por favor.", "¿Qué puedo hacer por usted?"),
    "fr-fr": ("Non !", "Bonjour à tous.", "Merci.", "Un moment, s'il vous plaît.", "Que puis-je faire pour vous ?"),
    "hi": ("नहीं!", "नमस्ते जी।", "धन्यवाद।", "एक पल, कृपया।", "मैं आपके लिए क्या कर सकता हूँ?"),
    "it": ("No!", "Ciao a tutti.", "Grazie.", "Un momento, per favore.", "Che cosa posso fare per lei?"),
    "pt-br": ("Não!", "Olá a todos.", "Obrigado.", "Um momento, por favor.", "O que posso fazer por você?"),
}


def measured_and_held_out(language: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Sentences for a language; English ones for a language that has none."""
    sentences = SENTENCES.get(language, ENGLISH)
    return sentences[:-NUM_HELD_OUT], sentences[-NUM_HELD_OUT:]


def short(language: str) -> tuple[str, ...]:
    """Short texts for a language; English ones for a language that has none."""
    return SHORT.get(language, SHORT_ENGLISH)
