//! Language tags in the form that stream ids are made of.

/// The three-letter codes of ISO 639-2 (terminological and bibliographic) that have a two-letter one in ISO 639-1.
const THREE_TO_TWO_LETTERS: &str = "aar aa abk ab afr af aka ak alb sq amh am ara ar arg an arm hy asm as ava av ave ae aym ay aze az \
    bak ba bam bm baq eu bel be ben bn bih bh bis bi bod bo bos bs bre br bul bg bur my cat ca ces cs cha ch che ce chi zh chu cu chv cv \
    cor kw cos co cre cr cym cy cze cs dan da deu de div dv dut nl dzo dz ell el eng en epo eo est et eus eu ewe ee fao fo fas fa fij fj \
    fin fi fra fr fre fr fry fy ful ff geo ka ger de gla gd gle ga glg gl glv gv gre el grn gn guj gu hat ht hau ha heb he her hz hin hi \
    hmo ho hrv hr hun hu hye hy ibo ig ice is ido io iii ii iku iu ile ie ina ia ind id ipk ik isl is ita it jav jv jpn ja kal kl kan kn \
    kas ks kat ka kau kr kaz kk khm km kik ki kin rw kir ky kom kv kon kg kor ko kua kj kur ku lao lo lat la lav lv lim li lin ln lit lt \
    ltz lb lub lu lug lg mac mk mah mh mal ml mao mi mar mr may ms mkd mk mlg mg mlt mt mon mn mri mi msa ms mya my nau na nav nv nbl nr \
    nde nd ndo ng nep ne nld nl nno nn nob nb nor no nya ny oci oc oji oj ori or orm om oss os pan pa per fa pli pi pol pl por pt pus ps \
    que qu roh rm ron ro rum ro run rn rus ru sag sg san sa sin si slk sk slo sk slv sl sme se smo sm sna sn snd sd som so sot st spa es \
    sqi sq srd sc srp sr ssw ss sun su swa sw swe sv tah ty tam ta tat tt tel te tgk tg tgl tl tha th tib bo tir ti ton to tsn tn tso ts \
    tuk tk tur tr twi tw uig ug ukr uk urd ur uzb uz ven ve vie vi vol vo wel cy wln wa wol wo xho xh yid yi yor yo zha za zho zh zul zu";

/// `tag` with its language in lower case and, where there is one, as the two-letter code (`ger-AT` becomes `de-AT`).
pub(crate) fn shortest_language_tag(tag: &str) -> String {
    let (language, rest) = tag.split_at(tag.find('-').unwrap_or(tag.len()));
    let language = language.to_lowercase();
    let mut words = THREE_TO_TWO_LETTERS.split_ascii_whitespace();
    let short = if language.len() == 3 { words.by_ref().find(|word| *word == language).and_then(|_| words.next()) } else { None };
    format!("{}{rest}", short.unwrap_or(&language))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_letters_become_two_where_there_are_two() {
        let cases =
            [("ger", "de"), ("DEU-at", "de-at"), ("en-US", "en-US"), ("und", "und"), ("gsw", "gsw"), ("", ""), ("zul", "zu"), ("aa", "aa")];
        for (tag, short) in cases {
            assert_eq!(shortest_language_tag(tag), short, "{tag}");
        }
        let words: Vec<&str> = THREE_TO_TWO_LETTERS.split_ascii_whitespace().collect();
        assert!(words.chunks(2).all(|pair| pair[0].len() == 3 && pair[1].len() == 2));
    }
}
